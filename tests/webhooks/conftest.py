"""A courier that reaches this machine, and does not wait for long."""

import pytest

from jobs.models import Delivery
from jobs.shifts import courier, runner


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.JOBS_EGRESS_ALLOW = ["127.0.0.0/8"]
    settings.JOBS_COURIER_TICK_SECONDS = 0.02
    settings.JOBS_WEBHOOK_PAUSES_SECONDS = [0.05, 0.05]
    settings.JOBS_WEBHOOK_TIMEOUT_SECONDS = 30.0  # nothing is late on a busy machine


@pytest.fixture
def deliver(monkeypatch):
    """Have the courier work until `is_done` is true, or no message is due any more."""

    def run(is_done=None):
        def nothing_due():
            return not Delivery.objects.exclude(due_at=None).exists()

        tick = courier.Courier._tick
        done = is_done or nothing_due

        async def counted(self):
            more = await tick(self)
            if not more and not self._tasks and await self._in_db(done):
                runner.is_ending.set()
            return more

        monkeypatch.setattr(courier.Courier, "_tick", counted)
        try:
            assert courier.work(120)
            assert runner.is_ending.is_set(), "the courier did not come to an end"
        finally:
            runner.is_ending.clear()
            monkeypatch.setattr(courier.Courier, "_tick", tick)

    return run
