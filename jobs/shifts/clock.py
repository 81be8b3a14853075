"""The time that the loop goes by; whoever runs a shift may bring another."""

import asyncio
import time


class Clock:
    """Seconds that never go backwards, and waiting for them."""

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let others work for `seconds`."""
        await asyncio.sleep(seconds)


CLOCK = Clock()
