"""`manage.py move_storage --to s3`: move files from our disk to the bucket, or back."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.services.files import moving
from jobs.storage import LOCAL, S3, StoreError


class Command(BaseCommand):
    """Move stored files. Safe to stop and to run again, also while Slipway runs."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--to", choices=[LOCAL, S3], required=True)
        parser.add_argument(
            "--dry-run", action="store_true", help="only say how much would be moved"
        )

    def handle(self, *, to: str, dry_run: bool, **_: Any) -> None:
        """Move, one line for each file."""
        files, size = moving.count(to)
        self.stdout.write(f"{files} files, {size / 1e9:.3f} GB to move to {to}.")
        if dry_run:
            return
        problems = 0
        try:
            for number, moved in enumerate(moving.move(to), 1):
                text = moved.problem or "moved"
                self.stdout.write(f"{number}/{files} {moved.name}: {text}")
                problems += bool(moved.problem)
        except StoreError as error:
            raise CommandError(f"{error} Run the command again to go on.") from error
        if problems:
            raise CommandError(f"{problems} files were not moved; see above.")
