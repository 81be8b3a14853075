"""Running a shift: what one process does for a while, under a lease, beside Celery's tasks."""

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
# Set when this process is asked to end: shifts then end early.
is_ending = threading.Event()
# By when this process's own shifts must be over, even on a very busy machine.
_over_by: dict[str, float] = {}


def work(
    name: str,
    run: Callable[[HeldLease], Coroutine[Any, Any, None]],
    clock: Clock = CLOCK,
) -> bool:
    """Do one shift, unless another process has one; return whether it was done.

    A shift that is late loses its lease to another process, but not to its own: two of
    them would count each other's steps as deaths. Only one that hangs is given up.
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
    """The threads in which a shift works with the database, beside its coroutines."""

    def __init__(self, name: str, width: int) -> None:
        self._width = width
        self._pool = ThreadPoolExecutor(width, thread_name_prefix=name)

    async def __call__(
        self, function: Callable[..., T], *args: Any, **kwargs: Any
    ) -> T:
        """Run database work in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """End the threads; each gives its database connection back."""
        together = threading.Barrier(self._width)

        def close() -> None:
            together.wait(timeout=5)
            connections.close_all()

        for _ in range(self._width):
            self._pool.submit(close)
        self._pool.shutdown()
