"""Ids that sort by creation time (UUID version 7, RFC 9562 section 5.7)."""

import os
import threading
import time
import uuid

TICKS = 4096  # of a millisecond; RFC 9562 section 6.2, method 3
_lock = threading.Lock()
_last = 0


def new_id() -> uuid.UUID:
    """Return a UUIDv7 that is larger than all earlier ones of this process.

    48 bits of milliseconds, 12 bits of their fraction, 62 random bits.
    """
    global _last
    with _lock:
        _last = max(_last + 1, time.time_ns() * TICKS // 1_000_000)
        milliseconds, fraction = divmod(_last, TICKS)
    value = milliseconds << 80 | 0x7 << 76 | fraction << 64
    value |= 0x2 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    return uuid.UUID(int=value)
