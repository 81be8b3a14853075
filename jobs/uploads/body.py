"""The body of an ASGI request, piece by piece, into a store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from jobs import conf
from jobs.storage.base import Writer

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Gone(Exception):
    """The client went away, or said nothing for too long. What came is kept."""


class TakenOver(Exception):
    """A newer request writes this file now."""


async def pieces(
    receive: Receive, may_go_on: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """Yield the body as it comes, in pieces of at least UPLOAD_PIECE_BYTES.

    Asks `may_go_on` about once a second, also while nothing comes. What has been
    received is yielded before any exception is raised.
    """
    held = bytearray()
    clock = asyncio.get_running_loop().time
    checked = heard = clock()
    ending: Exception | None = None
    while ending is None:
        try:
            message = await asyncio.wait_for(receive(), timeout=1.0)
        except TimeoutError:
            message = None
        if clock() - checked >= 1.0:
            checked = clock()
            ending = None if await may_go_on() else TakenOver()
        if message is None:
            if clock() - heard > conf.UPLOAD_IDLE_SECONDS:
                ending = Gone("nothing came for too long")
            continue
        heard = clock()
        if message["type"] == "http.disconnect":
            ending = Gone("the client went away")
            continue
        held += message.get("body", b"")
        if not message.get("more_body", False):
            break
        if len(held) >= conf.UPLOAD_PIECE_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
    if ending:
        raise ending


async def write_all(
    stream: AsyncIterator[bytes],
    writer: Writer,
    *,
    limit: int,
    also: Callable[[bytes], None] | None = None,
) -> bool:
    """Write a body, one piece while the next is received; stop at offset `limit`.

    Return False when there was more than that.
    """
    writing: asyncio.Future[None] | None = None

    def put(piece: bytes) -> None:
        writer.write(piece)
        if also:
            also(piece)

    received = writer.offset
    try:
        async for piece in stream:
            if writing:
                await writing
            room = limit - received
            received += len(piece)
            writing = asyncio.ensure_future(
                asyncio.to_thread(partial(put, piece[:room]))
            )
            if received > limit:
                break
    finally:
        if writing:
            await writing
    return received <= limit
