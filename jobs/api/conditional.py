"""`ETag` and `If-None-Match` (RFC 9110, section 13)."""

from hashlib import sha256

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response


def with_etag(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the answer with its tag, or 304 when the reader has it already."""
    tag = f'"{sha256(response.content).hexdigest()[:32]}"'
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    conditional = get_conditional_response(request, etag=tag, response=response)
    return conditional if isinstance(conditional, HttpResponse) else response
