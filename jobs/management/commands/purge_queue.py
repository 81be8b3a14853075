"""`manage.py purge_queue SLUG`: drops the jobs that no worker has taken."""

from typing import Any

from django.core.management import BaseCommand, CommandError

from jobs.management.slugs import endpoint_named
from jobs.runpod.errors import RunPodError
from jobs.services.operations import endpoints


class Command(BaseCommand):
    """Purge an endpoint's queue."""

    help = "Drop the queued jobs of an endpoint; ours become CANCELLED (purged)."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        parser.add_argument("slug")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print how many were dropped."""
        endpoint = endpoint_named(options["slug"])
        try:
            removed = endpoints.purge_queue(endpoint)
        except RunPodError as error:
            raise CommandError(f"{endpoint.slug}: {error}") from None
        self.stdout.write(f"{removed} jobs dropped from the queue of {endpoint.slug}.")
