"""`manage.py endpoint recreate|pause|wake|delete|release SLUG`: what the panel's buttons do."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.lib.errors import SlipwayError
from jobs.management.slugs import endpoint_named
from jobs.models import Endpoint
from jobs.runpod.errors import RunPodError
from jobs.services.operations import endpoint_spec, provisioning

DONE = {
    "pause": "{slug} is paused.",
    "wake": "{slug} is awake.",
    "delete": "{slug} is deleted at RunPod and paused here.",
}


class Command(BaseCommand):
    """Change an endpoint at RunPod."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("action", choices=["recreate", "release", *DONE])
        parser.add_argument("slug")
        parser.add_argument("--image", default="", help="release: the new image")
        parser.add_argument("--env", action="append", default=[], help="NAME=value")

    def handle(self, *, action: str, slug: str, **options: Any) -> None:
        """Do it and say so."""
        endpoint = endpoint_named(slug)
        try:
            self.stdout.write(_done(endpoint, action, options))
        except (SlipwayError, RunPodError) as error:
            raise CommandError(f"{slug}: {error}") from None


def _done(endpoint: Endpoint, action: str, options: dict[str, Any]) -> str:
    if action == "recreate":
        old = endpoint.runpod_id
        return f"{endpoint.slug}: {old} is now {provisioning.recreate(endpoint)}."
    if action == "release":
        env = endpoint_spec.variables(options["env"])
        made = provisioning.release(endpoint, image=options["image"], env=env)
        return f"{endpoint.slug}: {made.template.image} is being rolled out."
    getattr(provisioning, action)(endpoint)
    return DONE[action].format(slug=endpoint.slug)
