"""Calls of blocking code from a coroutine that is not a Django view."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run `function` in a thread, then close its database connection."""

    def run() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


async def in_threads(pieces: Iterator[T]) -> AsyncIterator[T]:
    """Yield the items of a blocking iterator; each step runs in a thread."""
    over = object()
    while (piece := await in_thread(next, pieces, over)) is not over:
        yield piece
