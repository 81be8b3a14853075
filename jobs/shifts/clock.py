"""The clock that a shift goes by; tests bring their own."""

import asyncio
import time


class Clock:
    """A monotonic clock, and sleeping by it."""

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        await asyncio.sleep(seconds)


CLOCK = Clock()
