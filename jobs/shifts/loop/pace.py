"""How soon to poll a job again. Pure; one for each endpoint.

Where webhooks arrive, polling is only the safety net. Where they do not, polls are
evenly spaced: every T seconds costs run time / T requests and notices the end T/2 late.
Polling less often as a job gets older measures worse (docs/decisions/0009).
"""

import random
from collections import deque
from datetime import datetime
from uuid import UUID

from django.utils.timezone import now

from jobs.lib import conf
from jobs.services.lifecycle.tracking import Poll
from jobs.states import JobStatus

SAMPLES = 50
ENOUGH = 3
OLD_SECONDS = 60.0  # a job of this age is polled once a second; older ones less often
OLD_MAX_PAUSE = 10.0
NOT_FOUND_PAUSE = 10.1  # three answers over at least twenty seconds
TROUBLE_PAUSE = 3.0
# Requests a second for all jobs of an endpoint together.
RATE_IF_RUNG, RATE_IF_RUNG_AND_MANY, RATE_IF_UNKNOWN = 2.0, 60.0, 8.0
FEW = 20


class Pace:
    """Knows how reliably webhooks arrive, how many jobs there are, and how long they run."""

    def __init__(self, rung: list[bool], usual_low_seconds: float) -> None:
        self._rung = deque(rung, maxlen=SAMPLES)
        self._usual_low = usual_low_seconds
        self.asked_about = 0  # jobs that may be running or start next
        self.front: set[UUID] | None = None  # None: every waiting job is in front
        self.is_surely_unrung = False

    def learned(self, rung: list[bool]) -> None:
        """Learn from ended jobs whether their webhooks arrived."""
        self._rung.extend(rung)

    @property
    def webhooks(self) -> bool | None:
        """Whether webhooks arrive here; None while nothing is known."""
        if len(self._rung) >= ENOUGH:
            return sum(self._rung) * 2 >= len(self._rung)
        return False if self.is_surely_unrung else None

    def pause(self, poll: Poll, *, status: str) -> float:
        """Return after how many seconds to poll a job that is in `status`."""
        floor = float(conf.POLL_FLOOR_SECONDS)
        if poll.cancel_requested_at or status == JobStatus.UNCONFIRMED:
            return floor
        if poll.not_found_count:
            return NOT_FOUND_PAUSE
        is_waiting = status == JobStatus.IN_QUEUE
        if is_waiting and self.front is not None and poll.job_id not in self.front:
            # At most five minutes: RunPod keeps a result for thirty.
            return float(conf.POLL_WAITING_SECONDS) + random.uniform(0, 25)  # noqa: S311
        if is_waiting or self.webhooks is not False:
            return self.front_pause()
        return max(floor, self._sweep_pause(poll.started_at))

    def front_pause(self) -> float:
        """Return after how many seconds to poll the job that starts next."""
        floor = float(conf.POLL_FLOOR_SECONDS)
        return floor if self.webhooks is False else max(floor, self._rung_pause())

    def _rung_pause(self) -> float:
        rate = RATE_IF_RUNG if self.webhooks else RATE_IF_UNKNOWN
        slow = max(conf.POLL_RUNG_SECONDS, self.asked_about / RATE_IF_RUNG_AND_MANY)
        return float(min(slow, self.asked_about / rate))

    def _sweep_pause(self, started_at: datetime | None) -> float:
        age = (now() - started_at).total_seconds() if started_at else 0.0
        if self.asked_about > FEW and age < self._usual_low:
            return self._usual_low - age
        return min(OLD_MAX_PAUSE, age / OLD_SECONDS)
