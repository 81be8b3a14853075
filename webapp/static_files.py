"""WhiteNoise for an asynchronous server.

WhiteNoise's own middleware is synchronous, which would give every long poll and every
live page a thread of its own. Files of our pages are small, so they are read at once.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """Serves static files, and passes everything else on without a thread."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[..., Any]) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(
        self, request: HttpRequest
    ) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer in the manner (sync or async) of the rest of the chain."""
        if iscoroutinefunction(self):
            return self._answer(request)
        return super().__call__(request)  # type: ignore[no-any-return]

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if not path.startswith(self.static_prefix):
            return await self.get_response(request)  # type: ignore[no-any-return]
        response = await sync_to_async(self._find, thread_sensitive=False)(request)
        return response or await self.get_response(request)

    def _find(self, request: HttpRequest) -> HttpResponseBase | None:
        path = request.path_info
        file = self.find_file(path) if self.autorefresh else self.files.get(path)
        if file is None:
            return None
        served = self.serve(file, request)
        content = b"".join(served.streaming_content) if served.streaming else b""
        response = HttpResponse(content, status=served.status_code)
        for name, value in served.items():
            response[name] = value
        return response
