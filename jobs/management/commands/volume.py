"""`manage.py volume grow|delete ID`: change a network volume at RunPod."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.lib.errors import SlipwayError
from jobs.runpod.errors import RunPodError
from jobs.services.operations import volumes


class Command(BaseCommand):
    """Change a volume; `manage.py audit` lists them with their ids."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("action", choices=["grow", "delete"])
        parser.add_argument("id")
        parser.add_argument("--size", type=int, default=0, help="grow: to so many GB")
        parser.add_argument("--key-name", default="", help="of RUNPOD_API_KEY_<NAME>")

    def handle(
        self, *, action: str, id: str, size: int, key_name: str, **_: Any
    ) -> None:
        """Do it and say so."""
        try:
            if action == "grow":
                grown = volumes.grow(key_name, id, size)
                message = f"{grown.name} has {grown.size_gb} GB."
            else:
                gone = volumes.delete(key_name, id)
                message = f"{gone.name} ({gone.size_gb} GB) is deleted."
        except (SlipwayError, RunPodError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(message)
