"""How many requests may leave: a token bucket."""

from jobs.shifts.clock import CLOCK, Clock


class Budget:
    """At most `per_second` on average, a quarter of a second's worth at once."""

    def __init__(self, per_second: float, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._rate = per_second
        self._burst = max(1.0, per_second / 4)
        self._tokens = self._burst
        self._at = self._clock.monotonic()

    def available(self) -> int:
        """Return how many may leave now."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return int(self._tokens)

    def spend(self, count: int = 1) -> None:
        """Take tokens that `available` offered."""
        self._tokens -= count
