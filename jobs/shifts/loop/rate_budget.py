"""How many requests may be sent: a token bucket."""

from jobs.shifts.clock import CLOCK, Clock


class Budget:
    """At most `per_second` on average, and a quarter of a second's worth in a burst."""

    def __init__(self, per_second: float, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._rate = per_second
        self._burst = max(1.0, per_second / 4)
        self._tokens = self._burst
        self._at = self._clock.monotonic()

    def available(self) -> int:
        """Return how many requests may be sent now."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return int(self._tokens)

    def spend(self, count: int = 1) -> None:
        """Use tokens that `available` offered."""
        self._tokens -= count
