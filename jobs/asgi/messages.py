"""ASGI's messages: reading a whole body up to a limit, sending a whole answer."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Gone(Exception):
    """The client went away, or said nothing for too long."""


class BodyTooLarge(Exception):
    """More bytes than the limit; the rest has not been read."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the body; raise `Gone`, or `BodyTooLarge` as soon as that is certain."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise BodyTooLarge
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge
        if not message.get("more_body"):
            return bytes(body)


async def answer(
    send: Send, status: int, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()
) -> None:
    """Send a whole response; Content-Length is added where it is missing."""
    pairs = [
        (name.lower().encode(), value.encode("latin-1")) for name, value in headers
    ]
    if status != 204 and all(name != b"content-length" for name, _ in pairs):
        pairs.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
