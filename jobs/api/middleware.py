"""What every answer of the JSON API has, also where no view was reached."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from jobs.api.errors import problem
from jobs.lib.rates import WINDOW_SECONDS, Rate

PREFIX = "/api/v1/"


@sync_and_async_middleware
def api_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:
    """Pass on, then complete the answer."""
    if iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> HttpResponseBase:
            return _completed(request, await get_response(request))

        return later
    return lambda request: _completed(request, get_response(request))


def _completed(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Add the RateLimit headers; say "wrong method" in JSON."""
    if not request.path.startswith(PREFIX):
        return response
    if response.status_code == 405:
        allowed = response.headers.get("Allow", "")
        text = f"{request.method} is not possible here. Use {allowed}."
        response = problem(405, "method_not_allowed", text)
        response["Allow"] = allowed
    rate: Rate | None = getattr(request, "rate", None)
    if rate:
        # draft-ietf-httpapi-ratelimit-headers-10
        policy = f'"{rate.name}";q={rate.quota};w={WINDOW_SECONDS}'
        response.headers["RateLimit-Policy"] = policy
        left = f'"{rate.name}";r={rate.remaining};t={rate.reset}'
        response.headers["RateLimit"] = left
    response.headers.setdefault("Cache-Control", "no-store")
    return response
