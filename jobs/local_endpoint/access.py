"""Who may come in: clients with an API key, workers with the queue's worker key."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from jobs.lib import conf, links
from jobs.models.api_key import ApiKey
from jobs.models.endpoint import Endpoint

AsyncView = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def problem(detail: str, status: int, title: str) -> JsonResponse:
    """Return an error in the form RunPod uses."""
    body = {"detail": detail, "status": status, "title": title}
    return JsonResponse(body, status=status)


def secret_of(request: HttpRequest) -> str:
    """Return the key, sent raw or as a bearer; the SDK's worker sends it raw."""
    value = request.headers.get("Authorization", "")
    return value.removeprefix("Bearer ").strip()


def for_clients(*methods: str) -> Callable[[AsyncView], AsyncView]:
    """Let in who may submit to the endpoint; give the view the Endpoint row."""
    return _guard(methods, _client_may)


def for_workers(*methods: str) -> Callable[[AsyncView], AsyncView]:
    """Let in workers of the endpoint's queue.

    A refused SDK worker asks again at once, hundreds of times a second, so a refusal is
    held for a second first.
    """
    return _guard(methods, _worker_may, is_patient=True)


def _guard(
    methods: tuple[str, ...],
    may: Callable[[Endpoint, str], bool],
    *,
    is_patient: bool = False,
) -> Callable[[AsyncView], AsyncView]:
    def decorate(view: AsyncView) -> AsyncView:
        @csrf_exempt
        @wraps(view)
        async def guarded(
            request: HttpRequest, slug: str, **kwargs: Any
        ) -> HttpResponseBase:
            pause = conf.REFUSED_WORKER_PAUSE_SECONDS if is_patient else 0
            if request.method not in methods:
                return problem("method not allowed", 405, "Method Not Allowed")
            endpoint = await Endpoint.objects.filter(
                slug=slug, kind=Endpoint.Kind.LOCAL
            ).afirst()
            if endpoint is None:
                await asyncio.sleep(pause)
                return problem("endpoint not found", 404, "Not Found")
            if not await sync_to_async(may)(endpoint, secret_of(request)):
                await asyncio.sleep(pause)
                return problem("the key is not valid here", 401, "Unauthorized")
            return await view(request, endpoint, **kwargs)

        return guarded

    return decorate


def _client_may(endpoint: Endpoint, secret: str) -> bool:
    if links.same(secret, endpoint.client_key):
        return True
    key = ApiKey.objects.find(secret)
    if key is None or not key.allows("jobs:write"):
        return False
    return key.allows_endpoint(endpoint.slug)


def _worker_may(endpoint: Endpoint, secret: str) -> bool:
    return links.same(secret, endpoint.worker_key)
