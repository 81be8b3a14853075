"""What the raw ASGI receivers share: opening a file, answering a request."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from jobs.asgi.body import TakenOver
from jobs.lib import conf
from jobs.storage import StoreError, StoreFull, WrongOffset, local
from jobs.storage.disk import LocalWriter

Send = Callable[[dict[str, Any]], Awaitable[None]]


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


async def answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    """Send a whole response."""
    headers = {**headers, "content-length": str(len(body))}
    if status == 204:
        del headers["content-length"]
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
