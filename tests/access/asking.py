"""Sends one request to the whole ASGI application, as a web server would."""

import asyncio
import json
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from django.conf import settings

CSRF = "c" * 32


@dataclass(frozen=True)
class Caller:
    """Who asks: what such a caller adds to every request."""

    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def text(self):
        return self.body.decode(errors="replace")


SESSION_COOKIE, CSRF_COOKIE = settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME
ANYBODY = Caller({"cookie": f"{CSRF_COOKIE}={CSRF}", "x-csrftoken": CSRF})


def with_key(secret):
    """Return a program's caller; it brings a page's token as well, which is no leave."""
    return Caller({**ANYBODY.headers, "authorization": f"Bearer {secret}"})


def with_raw_key(secret):
    """Return an SDK worker's caller."""
    return Caller({"authorization": secret})


def with_cookie(session, csrf=CSRF, **more):
    """Return a browser's caller."""
    cookie = f"{SESSION_COOKIE}={session}; {CSRF_COOKIE}={CSRF}"
    token = {"x-csrftoken": csrf} if csrf else {}
    return Caller({"cookie": cookie, **token, **more})


def encoded(body):
    """Return (content type, bytes) of a body: a form is a list of pairs."""
    if isinstance(body, bytes):
        return "application/offset+octet-stream", body
    if isinstance(body, list):
        return "application/x-www-form-urlencoded", urlencode(body).encode()
    return "application/json", json.dumps(body).encode()


async def _ask(app, scope, body):
    answer, has_asked = Answer(), False

    async def receive():
        nonlocal has_asked
        if has_asked:
            await asyncio.Event().wait()
        has_asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            headers = [(k.decode().lower(), v.decode()) for k, v in message["headers"]]
            answer.headers = dict(headers)
            for name, value in headers:
                if name == "set-cookie":
                    name, _, value = value.partition(";")[0].partition("=")
                    answer.cookies[name] = value
        else:
            answer.body += message.get("body", b"")

    async with asyncio.timeout(60):
        await app(scope, receive, send)
    return answer


def ask(runner, caller, verb, path, *, query="", body=b"", kind="", headers=()):
    """Send one request; return the answer."""
    from webapp.asgi import application  # noqa: PLC0415 - sets Django up

    given = {
        "host": "testserver",
        "content-length": str(len(body)),
        **({"content-type": kind} if kind else {}),
        **dict(headers),
        **caller.headers,
    }
    scope = {
        "type": "http",
        "method": verb,
        "scheme": "http",
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in given.items()],
        "server": ("testserver", 80),
        "client": ("127.0.0.1", 1),
    }
    return runner.run(_ask(application, scope, body))
