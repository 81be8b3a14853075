"""`manage.py worker_env SLUG`: what a worker of a local endpoint needs to know."""

from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError

from jobs.models import Endpoint


class Command(BaseCommand):
    """Print environment variables for an SDK worker started by hand."""

    help = "Print the environment with which a worker takes jobs from a local endpoint."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        parser.add_argument("slug")
        parser.add_argument(
            "--docker", action="store_true", help="Without quotes, for --env-file."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print NAME='value' lines, quoted for a shell: the $ signs are the SDK's."""
        endpoint = Endpoint.objects.filter(
            slug=options["slug"], kind=Endpoint.Kind.LOCAL
        ).first()
        if endpoint is None:
            raise CommandError(f"There is no local endpoint {options['slug']}.")
        base = f"{settings.PUBLIC_URL}/v2/{endpoint.slug}"
        for name, value in {
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=LOCAL",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=LOCAL",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=LOCAL",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=LOCAL",
            "RUNPOD_AI_API_KEY": endpoint.worker_key,
            "SLIPWAY_URL": settings.PUBLIC_URL,
            "SLIPWAY_ENDPOINT": endpoint.slug,
            "SLIPWAY_WORKER_KEY": endpoint.worker_key,
        }.items():
            quote = "" if options["docker"] else "'"
            self.stdout.write(f"{name}={quote}{value}{quote}")
