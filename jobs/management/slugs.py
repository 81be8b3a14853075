"""Finding what a command's argument names."""

from django.core.management import CommandError

from jobs.models import Endpoint


def endpoint_named(slug: str) -> Endpoint:
    """Return an endpoint; raise `CommandError` where there is none."""
    endpoint = Endpoint.by_slug(slug)
    if endpoint is None:
        raise CommandError(f"There is no endpoint {slug}.")
    return endpoint
