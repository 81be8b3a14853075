"""The body of an ASGI request, piece by piece, into a store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from jobs.asgi.messages import Gone, Receive
from jobs.lib import conf
from jobs.storage import StoreError, StoreFull, WrongOffset, local
from jobs.storage.base import Writer
from jobs.storage.disk import LocalWriter

FEW = 2


class TakenOver(Exception):
    """A newer request writes this file now."""


@asynccontextmanager
async def writer(
    key: str,
    offset: int,
    may_go_on: Callable[[], Awaitable[bool]],
    *,
    cut: bool = False,
) -> AsyncIterator[LocalWriter]:
    """Open the file; wait a little for an older writer to notice that it must stop."""
    until = asyncio.get_running_loop().time() + conf.UPLOAD_TAKE_OVER_SECONDS
    while True:
        opened = local().writer(key, offset, cut=cut)
        try:
            file: LocalWriter = await asyncio.to_thread(opened.__enter__)
            break
        except (WrongOffset, StoreFull):
            raise
        except StoreError:
            if asyncio.get_running_loop().time() > until:
                raise
            if not await may_go_on():
                raise TakenOver from None
            await asyncio.sleep(0.1)
    try:
        yield file
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)


class Body:
    """One request's body as it comes."""

    def __init__(
        self, receive: Receive, may_go_on: Callable[[], Awaitable[bool]]
    ) -> None:
        self._receive, self._may_go_on = receive, may_go_on
        self._clock = asyncio.get_running_loop().time
        self._checked = self._heard = self._clock()
        self._is_whole = False

    async def pieces(self) -> AsyncIterator[list[bytes]]:
        """Yield lists of about UPLOAD_PIECE_BYTES, or what is there when it stalls.

        Bytes are never copied on their way. What has been received is yielded before
        `Gone` or `TakenOver` is raised.
        """
        held: list[bytes] = []
        size = 0
        ending: Exception | None = None
        while not self._is_whole and ending is None:
            new = b""
            try:
                new = await self._next()
            except (Gone, TakenOver) as error:
                ending = error
            if new:
                held.append(new)
                size += len(new)
            if size and (not new or size >= _enough()):
                yield held
                held, size = [], 0
        if held:
            yield held
        if ending:
            raise ending

    async def _next(self) -> bytes:
        """Return the next bytes; none if nothing came for a second."""
        if self._clock() - self._checked >= 1.0:
            self._checked = self._clock()
            if not await self._may_go_on():
                raise TakenOver
        try:
            # Not `wait_for`: it makes a task of every message.
            async with asyncio.timeout(1.0):
                message = await self._receive()
        except TimeoutError:
            if self._clock() - self._heard > conf.UPLOAD_IDLE_SECONDS:
                raise Gone("nothing came for too long") from None
            return b""
        self._heard = self._clock()
        if message["type"] == "http.disconnect":
            raise Gone("the client went away")
        self._is_whole = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body


# Bodies being written now. Two pieces of each are in memory.
_written_now = 0


def _enough() -> int:
    """Return how many bytes to write at once: fewer where many bodies come in."""
    large = int(conf.UPLOAD_PIECE_BYTES)
    return large if _written_now <= FEW else large // 2


async def write_all(
    stream: AsyncIterator[list[bytes]],
    writer: Writer,
    *,
    limit: int,
    also: Callable[[bytes], None] | None = None,
) -> bool:
    """Write a body, one list of pieces while the next is received; stop at `limit`.

    Return False when there was more than that.
    """
    global _written_now
    writing: asyncio.Future[None] | None = None

    def put(pieces: list[bytes]) -> None:
        writer.write(*pieces)
        if also:
            for piece in pieces:
                also(piece)

    received = writer.offset
    _written_now += 1
    try:
        async for pieces in stream:
            if writing:
                await writing
            room = limit - received
            size = sum(map(len, pieces))
            received += size
            fitting = pieces if size <= room else [b"".join(pieces)[:room]]
            writing = asyncio.ensure_future(asyncio.to_thread(put, fitting))
            if received > limit:
                break
    finally:
        _written_now -= 1
        if writing:
            await writing
    return received <= limit
