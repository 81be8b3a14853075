"""`manage.py fetch_schema SLUG`: takes the input schema from a running worker."""

import json
from typing import Any

from django.core.management import BaseCommand, CommandError

from jobs.lib.errors import SlipwayError
from jobs.management.slugs import endpoint_named
from jobs.runpod.errors import RunPodError
from jobs.services.operations import worker_schemas


class Command(BaseCommand):
    """Ask a worker of our handler what it takes, and keep it."""

    help = "Take the input schema of an endpoint from a running worker; print it."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        parser.add_argument("slug")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the schema."""
        endpoint = endpoint_named(options["slug"])
        try:
            schema = worker_schemas.fetch(endpoint)
        except (SlipwayError, RunPodError) as error:
            raise CommandError(f"{endpoint.slug}: {error}") from None
        self.stdout.write(json.dumps(schema, indent=2, ensure_ascii=False))
