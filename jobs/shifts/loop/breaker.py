"""A circuit breaker: leaves an endpoint alone while it is in trouble."""

from collections import deque

from jobs.shifts.clock import CLOCK, Clock

IN_A_ROW = 5
WINDOW_SECONDS = 60.0
WINDOW_SIZE = 20
FIRST_PAUSE_SECONDS = 30.0
MAX_PAUSE_SECONDS = 300.0


class Breaker:
    """Opens after five failures in a row, or ten of the last twenty within a minute.

    It stays open for 30 s, then twice as long each time, at most 5 min. After each
    pause it allows one call (the probe). An answer closes the breaker; a failure opens
    it again.
    """

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._results: deque[tuple[float, bool]] = deque(maxlen=WINDOW_SIZE)
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._until = 0.0
        self._is_probing = False
        self.openings = 0

    @property
    def is_open(self) -> bool:
        """Whether only a probe may be sent."""
        return self.openings > 0

    def may_call(self) -> bool:
        """Whether a call may be sent now; while open, only the probe may."""
        return not self.is_open or self._clock.monotonic() >= self._until

    def calls(self) -> None:
        """Note that a call is being sent. Call it only then, or the probe is wasted."""
        if self.is_open:
            self._is_probing = True
            # One probe at a time, and another if it never reports back.
            self._until = self._clock.monotonic() + self._pause

    def succeeded(self) -> bool:
        """Note an answer; return whether it closed the breaker."""
        self._results.append((self._clock.monotonic(), True))
        self._failures = 0
        was_open = self.is_open
        if was_open:
            self.openings, self._pause = 0, FIRST_PAUSE_SECONDS
            self._is_probing = False
            self._results.clear()
        return was_open

    def failed(self, *, at_once: bool = False) -> bool:
        """Note a missing answer; return whether it opened the breaker (again)."""
        now = self._clock.monotonic()
        if self.is_open:
            if self._is_probing:  # else: a call that started before the breaker opened
                self._pause = min(MAX_PAUSE_SECONDS, self._pause * 2)
                self._open(now)
            return self.openings > 1
        self._results.append((now, False))
        self._failures += 1
        recent = [ok for at, ok in self._results if at > now - WINDOW_SECONDS]
        half = len(recent) == WINDOW_SIZE and sum(recent) * 2 <= WINDOW_SIZE
        if at_once or self._failures >= IN_A_ROW or half:
            self._open(now)
        return self.is_open

    def _open(self, now: float) -> None:
        self._until = now + self._pause
        self._is_probing = False
        self.openings += 1
