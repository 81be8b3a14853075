"""`manage.py create_api_key USERNAME`: prints only the key."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError

from jobs.models import ApiKey, Endpoint
from jobs.models.api_key import SCOPES


class Command(BaseCommand):
    """Issue an API key; its secret is never shown again."""

    help = "Issue an API key for a user and print it."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        parser.add_argument("username")
        parser.add_argument("--create-user", action="store_true")
        parser.add_argument("--name", default="command line")
        parser.add_argument("--scopes", help=f"Of {', '.join(SCOPES)}; default: all.")
        parser.add_argument("--endpoints", default="", help="Slugs; default: all.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the key."""
        users = get_user_model()
        name = options["username"]
        owner = users.objects.filter(**{users.USERNAME_FIELD: name}).first()
        if owner is None and options["create_user"]:
            owner = users.objects.create_user(name)
        if owner is None:
            raise CommandError(
                f"There is no user {name}. Add --create-user to make one."
            )
        scopes = options["scopes"].split(",") if options["scopes"] else None
        unknown = set(scopes or []) - set(SCOPES)
        if unknown:
            raise CommandError(
                f"Unknown scopes: {', '.join(sorted(unknown))}. Known: {', '.join(SCOPES)}"
            )
        endpoints = [slug for slug in options["endpoints"].split(",") if slug]
        missing = set(endpoints) - set(Endpoint.objects.values_list("slug", flat=True))
        if missing:
            raise CommandError(f"There is no endpoint {', '.join(sorted(missing))}.")
        _, secret = ApiKey.issue(
            owner=owner, name=options["name"], scopes=scopes, endpoints=endpoints
        )
        self.stdout.write(secret)
