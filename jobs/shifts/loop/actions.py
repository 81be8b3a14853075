"""What the loop does for one job: send it, poll it, take a step, stop a losing attempt."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import UUID

from django.db import Error as DatabaseError

from jobs.models import Attempt, Endpoint, Job
from jobs.runpod import RemoteJob
from jobs.runpod.errors import Busy, NoAnswer, NotSent, RunPodError
from jobs.services.lifecycle import attempts, reconcile, submission, sync, tracking
from jobs.services.lifecycle.tracking import Poll
from jobs.shifts.clock import Clock
from jobs.shifts.loop.endpoint_state import EndpointState
from jobs.shifts.loop.pace import NOT_FOUND_PAUSE, TROUBLE_PAUSE
from jobs.states import REMOTE, JobStatus

logger = logging.getLogger(__name__)
FAILED_STEP_PAUSE = 10.0
CANCEL_PAUSE = 5.0


class Loop(Protocol):
    """What actions need from their shift."""

    clock: Clock

    async def in_db(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Run database work in a thread."""

    async def alert(self, state: EndpointState, code: str) -> None:
        """Raise or resolve an alert."""


class Actions:
    """One coroutine for each kind of action. Each may be cancelled at any await."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        # A job whose last step killed a process runs alone, so that a poison row takes
        # no other job with it.
        self._suspects = asyncio.Lock()
        self._cancelled_at: dict[UUID, float] = {}
        self._stopping: set[UUID] = set()

    # --- sending ----------------------------------------------------------------------
    async def send(self, state: EndpointState, job: Job) -> None:
        """Claim a held job, POST /run, and record the outcome."""
        try:
            sending = await self._loop.in_db(submission.prepare, job)
            if sending is None:
                return
            try:
                outcome: RemoteJob | RunPodError = await state.client.run(
                    sending.input, policy=sending.policy, webhook=sending.webhook
                )
            except RunPodError as error:
                outcome = state.judged(error, route="run")
            await self._loop.in_db(submission.heard, sending, outcome)
            if isinstance(outcome, RemoteJob):
                poll = _poll_of(sending.job, sending.attempt, outcome)
                pause = state.pace.pause(poll, status=JobStatus.IN_QUEUE)
                await self._loop.in_db(tracking.wait_after_submission, job.pk, pause)
            await self._loop.alert(state, state.heard(outcome, route="run"))
        finally:
            state.sending.discard(job.pk)

    # --- polling ----------------------------------------------------------------------
    async def ask(self, state: EndpointState, poll: Poll) -> None:
        """POST /cancel if requested, then GET /status; apply the answer if it is news."""
        try:
            await self._cancel(state, poll)
            try:
                outcome: RemoteJob | RunPodError = await state.client.status(
                    poll.runpod_id
                )
            except RunPodError as error:
                outcome = state.judged(error, route="status")
            await self._loop.alert(state, state.heard(outcome, route="status"))
            is_new = state.is_new_output(poll, outcome)
            if tracking.is_news(poll, outcome, is_new_output=is_new):
                await self._hear(state, poll, outcome)
            else:
                state.later(poll, _pause(state, poll, outcome))
        except BaseException:
            state.asking.discard(poll.job_id)
            raise

    async def _hear(
        self, state: EndpointState, poll: Poll, outcome: RemoteJob | RunPodError
    ) -> None:
        async with self._alone_if(suspect=poll.unfinished_steps > 0):
            status, has_rung = await self._loop.in_db(_apply, poll, outcome)
        state.asking.discard(poll.job_id)
        if status in REMOTE:
            pause = 0.0 if has_rung else _pause(state, poll, outcome, status)
            if status == poll.status:
                state.asking.add(poll.job_id)
                state.later(poll, pause)
            else:
                await self._loop.in_db(tracking.wait_after_move, poll.job_id, pause)
        else:
            state.forget(poll.job_id)
            self._cancelled_at.pop(poll.job_id, None)
            state.learned_end(poll.attempt_id)

    async def _cancel(self, state: EndpointState, poll: Poll) -> None:
        time = self._loop.clock.monotonic()
        last = self._cancelled_at.get(poll.job_id, -CANCEL_PAUSE)
        if not poll.cancel_requested_at or time - last < CANCEL_PAUSE:
            return
        if state.cancels.available() < 1:
            return
        state.cancels.spend()
        self._cancelled_at[poll.job_id] = time
        try:
            await state.client.cancel(poll.runpod_id)
        except RunPodError as error:
            # Try again soon; only /status proves that a job was cancelled.
            self._cancelled_at[poll.job_id] = time - CANCEL_PAUSE + 1
            logger.info("cancel of job=%s: %s", poll.job_id, error)

    async def ask_health(self, state: EndpointState) -> None:
        """GET /health: how many jobs run, and whether the endpoint exists at all."""
        if state.breaker.is_open:
            return
        try:
            state.health = await state.client.health()
        except Busy:
            return
        except RunPodError:
            state.health = None
        state.is_health_known = True

    # --- steps without a remote call --------------------------------------------------
    async def step(self, pk: UUID, unfinished_steps: int, busy: set[UUID]) -> None:
        """Take a step that needs only the database and the store."""
        try:
            async with self._alone_if(suspect=unfinished_steps > 0):
                await self._loop.in_db(_step, pk)
        finally:
            busy.discard(pk)

    async def stop_loser(self, state: EndpointState, attempt: Attempt) -> None:
        """Tell RunPod to stop an attempt that another attempt has made useless."""
        if attempt.pk in self._stopping or state.cancels.available() < 1:
            return
        state.cancels.spend()
        self._stopping.add(attempt.pk)
        try:
            await state.client.cancel(attempt.runpod_id)
        except (NoAnswer, NotSent, Busy):
            return  # RunPod may not have received it: try again soon
        except RunPodError as error:
            logger.info("attempt=%s needs no stopping: %s", attempt.pk, error)
        finally:
            self._stopping.discard(attempt.pk)
        await self._loop.in_db(attempts.stopped, attempt)

    @asynccontextmanager
    async def _alone_if(self, *, suspect: bool) -> AsyncIterator[None]:
        if not suspect:
            yield
            return
        async with self._suspects:
            yield


# Fields that applying an answer does not need; an output may be megabytes.
_UNREAD = (
    *("job__output", "job__error_message", "raw_error", "notes"),
    *(f"job__endpoint__{name}" for name in (*Endpoint.LARGE, "description")),
)


def _apply(poll: Poll, outcome: RemoteJob | RunPodError) -> tuple[str, bool]:
    """Apply an answer to the job; return (its new status, whether the doorbell rang).

    The doorbell counts if it rang after the poll was decided on: this answer may then
    be older than the event it announces.
    """
    rows = Attempt.objects.select_related("job__endpoint").defer(*_UNREAD)
    attempt = rows.get(pk=poll.attempt_id)
    job = attempt.job
    if job.status in REMOTE and job.attempt_no == attempt.number:
        _guarded(job, lambda: sync.heard(job, attempt, outcome))
    rung_at = attempt.rung_at
    return str(job.status), rung_at is not None and rung_at > poll.read_at


def _step(pk: UUID) -> None:
    job = Job.objects.active().with_endpoint().filter(pk=pk).first()
    if job is not None:
        _guarded(job, lambda: reconcile.step(job))


def _guarded(job: Job, step: Any) -> None:
    """Take a step that may kill this process; count how often it did."""
    if not reconcile.begin_step(job):
        return
    before = job.status
    try:
        step()
    except DatabaseError:
        reconcile.end_step(job)
        raise
    except Exception:
        # Counts as a death: after the third, the job ends instead of failing for ever.
        logger.exception("a step of job=%s failed", job.pk)
        job.look_again_in(FAILED_STEP_PAUSE)
    else:
        if job.status == JobStatus.FINALIZING:
            reconcile.leave_step(job)
        elif job.status == before:  # else the move has said so
            reconcile.end_step(job)


def _poll_of(job: Job, attempt: Attempt, remote: RemoteJob) -> Poll:
    return Poll(
        read_at=attempt.created_at,
        job_id=job.pk,
        attempt_id=attempt.pk,
        runpod_id=remote.id,
        status=JobStatus.IN_QUEUE,
        unfinished_steps=0,
        not_found_count=0,
        worker_id="",
        submitted_at=attempt.created_at,
        started_at=job.started_at,
        cancel_requested_at=job.cancel_requested_at,
    )


def _pause(
    state: EndpointState,
    poll: Poll,
    outcome: RemoteJob | RunPodError,
    status: str | None = None,
) -> float:
    """Return after how many seconds to poll again."""
    if isinstance(outcome, RemoteJob):
        return state.pace.pause(poll, status=status or poll.status)
    if isinstance(outcome, NoAnswer):
        return TROUBLE_PAUSE
    return NOT_FOUND_PAUSE
