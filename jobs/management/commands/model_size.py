"""`manage.py model_size ORG/NAME`: how large a model on Hugging Face really is."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.lib import registries
from jobs.lib.registries import LookupFailed
from jobs.lib.sizes import GB, disk_plan

SHOWN_BYTES = 100_000_000


class Command(BaseCommand):
    """Ask the hub, before a volume is bought."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", help="organisation/name, or with @revision")
        parser.add_argument("--json", action="store_true", help="one JSON document")

    def handle(self, *, model: str, json: bool, **_: Any) -> None:
        """Print the large files, the total and the volume for it."""
        try:
            sizes = registries.model_size(model)
        except LookupFailed as error:
            raise CommandError(str(error)) from None
        volume_gb = disk_plan(0, sizes.total / GB).volume_gb
        if json:
            self.stdout.write(_document(sizes, volume_gb))
            return
        for path, size in sorted(sizes.files.items(), key=lambda one: -one[1]):
            if size > SHOWN_BYTES:
                self.stdout.write(f"  {path:60} {size / GB:8.2f} GB")
        total = f"{sizes.total / GB:.2f} GB in {len(sizes.files)} files"
        self.stdout.write(f"Total: {total}. A volume of {volume_gb} GB holds it.")


def _document(sizes: registries.ModelSize, volume_gb: int) -> str:
    summary = {"model": sizes.name, "revision": sizes.revision, "bytes": sizes.total}
    return json.dumps({**summary, "volume_gb": volume_gb, "files": sizes.files})
