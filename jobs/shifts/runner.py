"""Runs a shift: work that one process does for a while, in a task, under a lease."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connections

from jobs.lib import conf
from jobs.models import HeldLease, Lease
from jobs.shifts.clock import CLOCK, Clock

T = TypeVar("T")
LATE_SECONDS = 60.0
# Set when this process is asked to stop; shifts then end early.
is_ending = threading.Event()
# {shift name: when a shift of this process must have ended, even on a busy machine}
_over_by: dict[str, float] = {}


def work(
    name: str,
    run: Callable[[HeldLease], Coroutine[Any, Any, None]],
    clock: Clock = CLOCK,
) -> bool:
    """Run one shift unless another process is running one; return whether it ran.

    A late shift may lose its lease to another process, but not to its own: each of two
    shifts in one process would count the other's steps as crashes. This process starts
    a new shift only if the old one hangs.
    """
    began_at, seconds = clock.monotonic(), conf.SHIFT_LEASE_SECONDS
    if is_ending.is_set() or began_at < _over_by.get(name, 0):
        return False
    with Lease.held(name, seconds=seconds, monotonic=clock.monotonic) as lease:
        if lease:
            _over_by[name] = over_by = began_at + conf.SHIFT_SECONDS + LATE_SECONDS
            try:
                asyncio.run(run(lease))
            finally:
                if _over_by.get(name) == over_by:
                    del _over_by[name]
    if lease:
        connections.close_all()
    return bool(lease)


class DatabaseThreads:
    """The threads in which a shift uses the database, next to its coroutines."""

    def __init__(self, name: str, width: int) -> None:
        self._width = width
        self._pool = ThreadPoolExecutor(width, thread_name_prefix=name)

    async def __call__(
        self, function: Callable[..., T], *args: Any, **kwargs: Any
    ) -> T:
        """Run a database function in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Stop the threads; each closes its database connection."""
        together = threading.Barrier(self._width)

        def close() -> None:
            together.wait(timeout=5)
            connections.close_all()

        for _ in range(self._width):
            self._pool.submit(close)
        self._pool.shutdown()
