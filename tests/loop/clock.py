"""A clock that stands still between a shift's ticks, where the test does its next step."""

import asyncio
import threading

from jobs.lib.threads import in_thread

SHIFT_SECONDS = 100.0
GUARD = 30000  # looks at the tasks; more than any test needs on a busy machine


class StoppedClock:
    """Time that passes only where a test says so."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


class SteppedClock(StoppedClock):
    """Lets the actions of a tick end, then does the next step; after the last the shift is over.

    A step is a function, or seconds that pass. `held` says how many actions wait for the
    test, so that nobody waits for them here.
    """

    def __init__(self, held=lambda: 0):
        super().__init__()
        self.steps, self.held = [], held
        self.is_patient = True
        self.is_over = threading.Event()

    async def sleep(self, seconds):
        assert not self.is_over.is_set(), "the shift goes on when its time is over"
        await self._quiet()
        self.now += seconds
        if not self.steps:
            self.is_over.set()
            self.now += SHIFT_SECONDS
            return
        step = self.steps.pop(0)
        if callable(step):
            await in_thread(step)
        else:
            self.now += step

    async def _quiet(self):
        for _ in range(GUARD):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not self.is_patient or len(others) <= self.held():
                return
            await asyncio.sleep(0.002)
        raise AssertionError(f"actions that never end: {others}")
