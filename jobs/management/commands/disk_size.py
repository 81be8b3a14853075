"""`manage.py disk_size IMAGE_GB`: how large a worker's disks must be."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.lib import registries
from jobs.lib.registries import LookupFailed
from jobs.lib.sizes import GB, DiskPlan, disk_plan


class Command(BaseCommand):
    """Calculate disks from unpacked layers and models."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "image", help="its compressed size in GB, or user/image:tag"
        )
        parser.add_argument("--models-gb", type=float, default=0.0)
        parser.add_argument(
            "--no-volume", action="store_true", help="models on the container disk"
        )
        parser.add_argument("--json", action="store_true", help="one JSON document")

    def handle(
        self, *, image: str, models_gb: float, no_volume: bool, json: bool, **_: Any
    ) -> None:
        """Print the sizes to ask for."""
        plan = disk_plan(_image_gb(image), models_gb, has_volume=not no_volume)
        self.stdout.write(_document(plan) if json else _text(plan))


def _image_gb(size_or_image: str) -> float:
    try:
        return float(size_or_image)
    except ValueError:
        pass
    try:
        return registries.image(size_or_image).size / GB
    except LookupFailed as error:
        raise CommandError(str(error)) from None


def _document(plan: DiskPlan) -> str:
    return json.dumps(asdict(plan))


def _text(plan: DiskPlan) -> str:
    lines = [f"Container disk: {plan.container_disk_gb} GB"]
    if plan.volume_gb:
        cost = f"${plan.volume_per_month:.2f} a month, also while nothing runs"
        lines.append(f"Network volume: {plan.volume_gb} GB ({cost})")
    return "\n".join([*lines, *(f"-> {warning}" for warning in plan.warnings)])
