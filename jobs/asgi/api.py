"""The JSON API's way in: reads the body up to a limit, and answers from one thread.

Django's own ASGI handler spools whole bodies before a view may refuse them, and crosses
threads several times for one request, which costs more than the request itself. Live
events, which wait for long, and large downloads go through it all the same.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.core.signals import request_started
from django.db import connections
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import set_script_prefix

from jobs.api import cortex
from jobs.api.body import CORTEX, limit, too_large
from jobs.api.errors import problem, refusal
from jobs.api.middleware import PREFIX, api_middleware
from jobs.api.wait import Waiting
from jobs.asgi.messages import BodyTooLarge, Gone, Scope, answer, read_body
from jobs.lib import conf
from jobs.live import Listener, hub

STREAMED = ("/events", ".ndjson", ".zip")


class _Keyed(BaseHandler):
    """Django's handler for requests with a key: they have no session and no messages."""

    def __init__(self) -> None:
        super().__init__()
        handler = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        for middleware in (CommonMiddleware, api_middleware, SecurityMiddleware):
            handler = convert_exception_to_response(middleware(handler))
        self._middleware_chain = handler


class Gate(BaseHandler):
    """An ASGI application for `/api/v1/…`."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()
        self._keyed = _Keyed()
        self._threads = ThreadPoolExecutor(conf.API_THREADS, thread_name_prefix="api")

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        try:
            body = await read_body(scope, receive, limit(scope["path"]))
        except Gone:
            return
        except BodyTooLarge:
            refuse = cortex.refusal if cortex.is_for(scope["path"]) else refusal
            response: HttpResponseBase = refuse(too_large(scope["path"]))
            response["Connection"] = "close"
            await _send(response, send)
            return
        response, waiting = await self._in_thread(self._respond, scope, body)
        if waiting:
            response = await self._wait(waiting, response, receive)
        await _send(response, send)

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *args)

    def _respond(
        self, scope: Scope, body: bytes
    ) -> tuple[HttpResponseBase, Waiting | None]:
        set_script_prefix(scope.get("root_path") or "/")
        request_started.send(sender=type(self), scope=scope)
        try:
            request = ASGIRequest(scope, BytesIO(body))
        except UnicodeDecodeError:
            return problem(400, "malformed", "The address is not UTF-8."), None
        has_key = "HTTP_AUTHORIZATION" in request.META
        response = (self._keyed if has_key else self).get_response(request)
        response.close()  # also gives the database connection back
        return response, getattr(request, "waiting", None)

    async def _wait(
        self, waiting: Waiting, response: HttpResponseBase, receive: Any
    ) -> HttpResponseBase:
        """Wait for the job without a thread; then answer anew."""
        gone = asyncio.create_task(receive())
        listener = Listener(waiting.user_id, waiting.key_id)
        end = asyncio.create_task(hub.end(waiting.job_id, listener, waiting.seconds))
        await asyncio.wait({gone, end}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not end.done():
            end.cancel()
            return response
        status = 201 if end.result() else 202
        final_response: HttpResponseBase = await self._in_thread(
            _closing, waiting.answer, status
        )
        for name, value in response.items():
            final_response.headers.setdefault(name, value)
        final_response["Preference-Applied"] = f"wait={waiting.seconds}"
        final_response["Content-Length"] = str(len(final_response.content))  # type: ignore[attr-defined]
        return final_response


def gate_for(scope: Scope) -> Gate | None:
    """Return the gate for a request that it is for, or None for everybody else."""
    if scope["type"] != "http" or not scope["path"].startswith((PREFIX, CORTEX[0])):
        return None
    return None if scope["path"].endswith(STREAMED) else gate


def _closing(function: Callable[[int], HttpResponse], status: int) -> HttpResponse:
    try:
        return function(status)
    finally:
        connections.close_all()


async def _send(response: HttpResponseBase, send: Any) -> None:
    headers = list(response.items())
    headers += [
        ("set-cookie", cookie.OutputString()) for cookie in response.cookies.values()
    ]
    content: bytes = (
        b"".join(response.streaming_content)  # type: ignore[attr-defined]
        if response.streaming
        else response.content  # type: ignore[attr-defined]
    )
    await answer(send, response.status_code, content, headers)


gate = Gate()
