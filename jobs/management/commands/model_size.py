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
            found = registries.model_size(model)
        except LookupFailed as error:
            raise CommandError(str(error)) from None
        volume_gb = disk_plan(0, found.total / GB).volume_gb
        if json:
            self.stdout.write(_document(found, volume_gb))
            return
        for path, size in sorted(found.files.items(), key=lambda one: -one[1]):
            if size > SHOWN_BYTES:
                self.stdout.write(f"  {path:60} {size / GB:8.2f} GB")
        total = f"{found.total / GB:.2f} GB in {len(found.files)} files"
        self.stdout.write(f"Total: {total}. A volume of {volume_gb} GB holds it.")


def _document(found: registries.ModelSize, volume_gb: int) -> str:
    told = {"model": found.name, "revision": found.revision, "bytes": found.total}
    return json.dumps({**told, "volume_gb": volume_gb, "files": found.files})
