"""The client address of a request."""

from django.conf import settings
from django.http import HttpRequest


def of(request: HttpRequest) -> str:
    """Return the address of the client.

    Behind a proxy (TRUST_PROXY) it is the last address, which the proxy added: the
    client can send anything before it.
    """
    if settings.TRUST_PROXY:
        sent = str(request.META.get("HTTP_X_FORWARDED_FOR", ""))
        added = sent.rpartition(",")[2].strip()
        if added:
            return added
    return str(request.META.get("REMOTE_ADDR", ""))
