"""Which URLs may be used as webhooks."""

from urllib.parse import urlsplit

from django.conf import settings

from jobs.lib import egress
from jobs.lib.errors import InvalidInput, Problem

PORTS = {"http": 80, "https": 443}


def check_url(url: str, pointer: str) -> None:
    """Raise `InvalidInput` for a URL that we would never send to.

    Host names are resolved and checked again each time a message is sent.
    """
    try:
        egress.check(url)
    except egress.EgressRefused as error:
        text = f"This cannot be a webhook: {error}."
        raise InvalidInput(Problem(pointer, text, "url")) from None
    if _origin(url) in {_origin(settings.PUBLIC_URL), _origin(settings.INTERNAL_URL)}:
        text = "This cannot be a webhook: it is Slipway's own address."
        raise InvalidInput(Problem(pointer, text, "url"))


def _origin(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or PORTS.get(parts.scheme)
