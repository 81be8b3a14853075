"""Everything the loop knows about one endpoint.

It is kept from shift to shift, so that Retry-After, a breaker's pause and knowledge
about webhooks outlive a shift. Nothing in it is needed after a crash.
"""

import logging
from collections import defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from jobs.lib import conf
from jobs.models import Endpoint
from jobs.runpod import Health, RemoteJob
from jobs.runpod.async_client import AsyncEndpointClient
from jobs.runpod.errors import (
    Busy,
    EndpointNotFound,
    NoAnswer,
    NotSent,
    Refused,
    RunPodError,
)
from jobs.services.lifecycle import release, tracking
from jobs.services.lifecycle.tracking import Poll
from jobs.services.operations import alerts
from jobs.shifts.clock import CLOCK, Clock
from jobs.shifts.loop.breaker import Breaker
from jobs.shifts.loop.pace import SAMPLES, Pace
from jobs.shifts.loop.rate_budget import Budget
from jobs.states import JobStatus

logger = logging.getLogger(__name__)
MANY_AT_ONCE = 64
RUNS_AT_ONCE = 32
BUSY_SECONDS = 2.0
UNREACHABLE_PAUSE = 6.0
MARGIN = 5
FRONT_SECONDS = 0.2
RING_SECONDS = 2.0  # a working webhook has called by then
SURE_AFTER_ENDS = 3
SURE_AFTER_LOOKS = 3
MAX_BUSY_PAUSE = 600.0
STALE_SECONDS = 900.0  # longer than any pause that RunPod or the breaker may impose
OVER = "over"
PLAIN_REFUSALS = frozenset({400, 404, 405, 409, 413, 422})


class EndpointState:
    """Client, budgets, breaker, pace and health of one endpoint."""

    client: AsyncEndpointClient

    def __init__(self, endpoint: Endpoint, pace: Pace, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self.endpoint = endpoint
        self.pace = pace
        self.statuses = Budget(conf.STATUS_PER_SECOND, clock)
        self.runs = Budget(conf.RUN_PER_SECOND, clock)
        self.cancels = Budget(conf.CANCEL_PER_SECOND, clock)
        self.breaker = Breaker(clock)
        self.has_alert = True  # until a good answer resolves what an earlier one left
        self.health: Health | None = None
        self.is_health_known = False  # asked once, whatever the outcome
        self.counts: dict[str, int] = {}
        self.asking: set[UUID] = set()
        self.sending: set[UUID] = set()
        self.unchanged: dict[tuple[datetime, float], list[UUID]] = defaultdict(list)
        self.looked_at = 0.0
        self._status_from = self._run_from = 0.0
        self._busy_pause = BUSY_SECONDS
        self._first_ended: int | None = None
        self._learned_ends = 0
        self._ended: list[tuple[float, UUID]] = []
        self._unrung_looks = 0
        # An earlier process, if any, has already scheduled what is due.
        self._is_sweeping = pace.webhooks is False
        self._progress: dict[UUID, Any] = {}

    def begin_shift(self, client: AsyncEndpointClient) -> None:
        """Drop the calls and connections of the previous shift."""
        self.client = client
        self.asking, self.sending = set(), set()
        self.unchanged = defaultdict(list)
        self._progress = {}

    @property
    def is_stale(self) -> bool:
        """Whether this is too old to be better than a new, empty state."""
        return self._clock.monotonic() - self.looked_at > STALE_SECONDS

    # --- how much may be sent now -----------------------------------------------------
    def status_room(self) -> int:
        """Return how many jobs may be polled now."""
        if self._clock.monotonic() < self._status_from:
            return 0
        room = min(self.statuses.available(), MANY_AT_ONCE - len(self.asking))
        return self._guarded(room)

    def run_room(self) -> int:
        """Return how many jobs may be submitted now, without regard to the window."""
        if self._clock.monotonic() < self._run_from:
            return 0
        room = min(self.runs.available(), RUNS_AT_ONCE - len(self.sending))
        if self.endpoint.unreachable_at:
            room = min(room, 1)  # one probe shows whether the endpoint is back
        return self._guarded(room)

    def _guarded(self, room: int) -> int:
        if room <= 0 or not self.breaker.is_open:
            return max(0, room)
        return 1 if self.breaker.may_call() else 0

    def asks(self, job_id: UUID) -> None:
        """Note that a GET /status is being sent."""
        self.statuses.spend()
        self.asking.add(job_id)
        self.breaker.calls()

    def sends(self, job_id: UUID) -> None:
        """Note that a POST /run is being sent."""
        self.runs.spend()
        self.sending.add(job_id)
        self.breaker.calls()

    def window(self) -> int | None:
        """Return how many more jobs RunPod may hold; None means no limit."""
        workers = sum(self.health.workers.values()) if self.health else 0
        return release.room(self.endpoint, workers=workers)

    # --- answers ----------------------------------------------------------------------
    def heard(self, outcome: RemoteJob | RunPodError, *, route: str) -> str:
        """Learn from an answer, or from a missing one.

        Return the code of an alert to raise, OVER to resolve all, or an empty string.
        """
        match outcome:
            case Busy():
                self._slow_down(route, outcome.retry_after)
            case NoAnswer() | NotSent():
                return self._failed(outcome)
            case Refused() if outcome.status not in PLAIN_REFUSALS:
                self.breaker.failed(at_once=True)
                self.has_alert = True
                # Other alerts are raised where the answer is applied to the job.
                return "" if outcome.status in alerts.OF_STATUS else "no_answers"
            case EndpointNotFound():
                self._run_from = self._clock.monotonic() + UNREACHABLE_PAUSE
            case _:
                return self._succeeded(outcome)
        return ""

    def _slow_down(self, route: str, retry_after: float | None) -> None:
        pause = retry_after if retry_after is not None else self._busy_pause
        self._busy_pause = min(MAX_BUSY_PAUSE, self._busy_pause * 2)
        until = self._clock.monotonic() + max(0.1, pause)
        if route == "run":
            self._run_from = max(self._run_from, until)
        else:
            self._status_from = max(self._status_from, until)

    def _failed(self, error: NoAnswer | NotSent) -> str:
        retry_after = getattr(error, "retry_after", None)
        if retry_after:
            self._slow_down("run", retry_after)
            self._slow_down("status", retry_after)
        if not self.breaker.failed():
            return ""
        logger.warning("endpoint=%s left alone: %s", self.endpoint.slug, error)
        if self.breaker.openings == 1:
            return ""
        self.has_alert = True
        return "no_answers"

    def _succeeded(self, outcome: RemoteJob | RunPodError) -> str:
        self._busy_pause = BUSY_SECONDS
        self.breaker.succeeded()
        # A known job proves more than a 404 for another job.
        is_proof = isinstance(outcome, RemoteJob)
        if not is_proof or not (self.has_alert or self.endpoint.unreachable_at):
            return ""
        self.has_alert = False
        return OVER

    def judged(
        self, outcome: RemoteJob | RunPodError, *, route: str
    ) -> RemoteJob | RunPodError:
        """An endpoint that answers /health exists, whatever another route says."""
        if not isinstance(outcome, EndpointNotFound) or self.health is None:
            return outcome
        text = "404 for the endpoint, which answers /health"
        if route == "run":
            return Busy(text, retry_after=UNREACHABLE_PAUSE)
        return NoAnswer(text)

    # --- once a second ----------------------------------------------------------------
    def look_due(self) -> bool:
        """Whether it is time to count jobs and to ask for /health."""
        pause = float(conf.HEALTH_PAUSE_SECONDS)
        return self._clock.monotonic() - self.looked_at >= pause

    def look(self) -> None:
        """Count our jobs there, and find out which may be running. Queries the database."""
        self.looked_at = self._clock.monotonic()
        self.counts = tracking.counts(self.endpoint)
        running = self.counts.get(JobStatus.IN_PROGRESS, 0)
        waiting = self.counts.get(JobStatus.IN_QUEUE, 0)
        starting = self._starting(running, waiting)
        front = None
        if waiting > starting:
            front = tracking.front(self.endpoint, starting)
        self.pace.front = front
        self.pace.asked_about = running + min(waiting, starting)
        self._judge_webhooks()
        self._notice_silence()
        if self.is_health_known:
            self._hurry(front)

    def _starting(self, running: int, waiting: int) -> int:
        """Return how many waiting jobs may have started since they were last polled.

        Jobs start first in, first out: as many as there are free slots, and as many as
        RunPod no longer counts as waiting.
        """
        if self.health is None:
            slots = self.endpoint.max_workers * self.endpoint.worker_concurrency
            slots = max(slots, running)
        else:
            slots = self.health.jobs.get("inProgress", 0)
            waiting -= self.health.jobs.get("inQueue", 0)
        return max(0, slots - running, waiting) + max(MARGIN, slots // 10)

    def _hurry(self, front: set[UUID] | None) -> None:
        """Cut long pauses short: waiting jobs move up as those before them end."""
        is_sweeping = self.pace.webhooks is False
        if is_sweeping and not self._is_sweeping:
            # Those of running jobs too: they assumed that webhooks arrive.
            tracking.bring_forward(self.endpoint, conf.POLL_FLOOR_SECONDS)
        elif self.counts.get(JobStatus.IN_QUEUE):
            soon = self.pace.front_pause() + FRONT_SECONDS
            tracking.bring_forward(self.endpoint, soon, front, JobStatus.IN_QUEUE)
        self._is_sweeping = is_sweeping

    def _notice_silence(self) -> None:
        """Jobs end without a webhook: stop relying on webhooks here."""
        if self.health is None or self.endpoint.contract != Endpoint.Contract.PLAIN:
            return
        if self._first_ended is None:
            self._first_ended = self.health.ended
        missed = self.health.ended - self._first_ended - self._learned_ends
        self._unrung_looks = self._unrung_looks + 1 if missed >= SURE_AFTER_ENDS else 0
        if self._unrung_looks >= SURE_AFTER_LOOKS and self.pace.webhooks is None:
            self.pace.is_surely_unrung = True

    def learned_end(self, attempt_id: UUID) -> None:
        """Note that one of our jobs ended here."""
        self._learned_ends += 1
        self._ended.append((self._clock.monotonic(), attempt_id))

    def _judge_webhooks(self) -> None:
        """Learn whether webhooks came for ended jobs; one may arrive after our poll."""
        until = self._clock.monotonic() - RING_SECONDS
        ripe = [attempt for at, attempt in self._ended if at <= until]
        if ripe:
            self._ended = [pair for pair in self._ended if pair[0] > until]
            self.pace.learned(tracking.were_rung(ripe[-SAMPLES:]))

    # --- answers that change nothing --------------------------------------------------
    def is_new_output(self, poll: Poll, outcome: RemoteJob | RunPodError) -> bool:
        """Whether a running job's handler posted different progress than last time."""
        if not isinstance(outcome, RemoteJob) or not outcome.has_output:
            return False
        if self._progress.get(poll.job_id) == outcome.output:
            return False
        self._progress[poll.job_id] = outcome.output
        return True

    def forget(self, job_id: UUID) -> None:
        """Drop what is remembered about an ended job."""
        self._progress.pop(job_id, None)

    def later(self, poll: Poll, seconds: float) -> None:
        """Remember to poll again; the next tick saves that for all jobs together."""
        self.unchanged[poll.read_at, round(seconds, 1)].append(poll.job_id)

    def take_unchanged(self) -> dict[tuple[datetime, float], list[UUID]]:
        """Return what `later` has gathered, and forget it."""
        gathered, self.unchanged = dict(self.unchanged), defaultdict(list)
        return gathered
