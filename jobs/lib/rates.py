"""How many requests a caller may make in a minute.

Each web process counts for itself, so that no request waits for another server. With N
processes a caller gets at least the limit, and at most N times as much.
"""

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

_counter = SlidingWindowCounterRateLimiter(MemoryStorage())
WINDOW_SECONDS = 60


@dataclass(frozen=True)
class Rate:
    """A limit and what is left of it; `reset` is in seconds."""

    name: str
    quota: int
    remaining: int
    reset: int
    is_over: bool


def count(name: str, caller: str, quota: int) -> Rate:
    """Count one request of `caller` against `quota` a minute."""
    item = RateLimitItemPerMinute(quota)
    is_over = not _counter.hit(item, name, caller)
    return _rate(item, name, caller, is_over=is_over)


def forget() -> None:
    """Reset all counts."""
    _counter.storage.reset()


def _rate(
    item: RateLimitItemPerMinute, name: str, caller: str, *, is_over: bool
) -> Rate:
    stats = _counter.get_window_stats(item, name, caller)
    reset = max(1, math.ceil(stats.reset_time - time.time()))
    return Rate(name, item.amount, max(0, stats.remaining), reset, is_over)
