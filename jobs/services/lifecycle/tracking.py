"""What the loop has to do now, read in a constant number of queries."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, Exists, F, OuterRef, Q, Value, When
from django.utils.timezone import now

from jobs.models import Attempt, Endpoint, Job
from jobs.runpod import RemoteJob
from jobs.runpod.errors import EndpointNotFound, JobNotFound, Refused, RunPodError
from jobs.states import (
    ACTIVE,
    AT_BACKEND,
    ENDS,
    LOCAL_STEPS,
    REMOTE,
    REMOTE_WORDS,
    JobStatus,
)

STEPS_AT_ONCE = 100


@dataclass(frozen=True)
class Poll:
    """A job to poll, with what is needed to decide whether to poll it."""

    read_at: datetime
    job_id: UUID
    attempt_id: UUID
    runpod_id: str
    status: str
    unfinished_steps: int
    not_found_count: int
    worker_id: str
    submitted_at: datetime
    started_at: datetime | None
    cancel_requested_at: datetime | None = None
    rung_at: datetime | None = None


@dataclass(frozen=True)
class Work:
    """An endpoint, and which kinds of work wait there."""

    endpoint: Endpoint
    has_held: bool
    has_remote: bool
    has_steps: bool


def work() -> list[Work]:
    """Return the endpoints with jobs that have not ended."""
    sql, params = _work_sql()
    endpoints: Any = Endpoint.objects.raw(sql, params)
    return [Work(e, e.has_held, e.has_remote, e.has_steps) for e in endpoints]


@cache
def _work_sql() -> tuple[str, tuple[Any, ...]]:
    """Return the query, compiled once: it runs several times a second."""

    def here(*statuses: JobStatus) -> Exists:
        jobs = Job.objects.filter(endpoint=OuterRef("pk"), status__in=statuses)
        return Exists(jobs)

    active = Endpoint.objects.filter(here(*ACTIVE)).annotate(
        has_held=here(JobStatus.PENDING),
        has_remote=here(*REMOTE),
        has_steps=here(*LOCAL_STEPS),
    )
    sql, params = active.order_by().query.sql_with_params()
    return sql, tuple(params)


def due_steps(busy: Collection[UUID]) -> list[tuple[UUID, int]]:
    """Return (job, unfinished_steps) of due jobs whose next step needs no remote call."""
    known = Attempt.objects.filter(
        job=OuterRef("pk"), number=OuterRef("attempt_no")
    ).exclude(runpod_id="")
    without_call = Q(status__in=LOCAL_STEPS - REMOTE) | Q(
        ~Exists(known), status=JobStatus.UNCONFIRMED
    )
    due = Job.objects.due().filter(without_call, status__in=LOCAL_STEPS)
    rows = due.exclude(pk__in=busy).values_list("pk", "unfinished_steps")
    return list(rows[:STEPS_AT_ONCE])


def due_polls(endpoint: Endpoint, limit: int, busy: Collection[UUID]) -> list[Poll]:
    """Return the jobs at an endpoint that are due for a poll, longest overdue first."""
    at = now()
    due = Attempt.objects.filter(
        job__endpoint=endpoint,
        job__status__in=REMOTE,
        job__due_at__lte=at,
        number=F("job__attempt_no"),
    )
    rows = due.exclude(runpod_id="").exclude(job__in=busy).order_by("job__due_at")
    values = rows.values_list(
        *("job_id", "pk", "runpod_id", "job__status", "job__unfinished_steps"),
        *("job__not_found_count", "worker_id", "created_at", "job__started_at"),
        *("job__cancel_requested_at", "rung_at"),
    )[:limit]
    return [Poll(at, *row) for row in values]


def is_news(
    poll: Poll, outcome: RemoteJob | RunPodError, *, is_new_output: bool
) -> bool:
    """Whether an answer changes anything in our rows."""
    if isinstance(outcome, RemoteJob):
        word = REMOTE_WORDS.get(outcome.status, JobStatus.IN_PROGRESS)
        # An end differs from the status of any job that is polled.
        return (
            word != poll.status
            or poll.not_found_count > 0
            or outcome.worker_id[:128] != poll.worker_id
            or is_new_output
        )
    return isinstance(outcome, JobNotFound | EndpointNotFound | Refused)


def counts(endpoint: Endpoint) -> dict[str, int]:
    """Return {status: number of jobs} for jobs that the endpoint's backend may have."""
    jobs = Job.objects.filter(endpoint=endpoint, status__in=AT_BACKEND)
    rows = jobs.order_by().values_list("status").annotate(Count("pk"))
    return dict(rows)


def front(endpoint: Endpoint, count: int) -> set[UUID]:
    """Return the jobs that RunPod starts next: its queue is first in, first out."""
    waiting = Attempt.objects.filter(
        job__endpoint=endpoint,
        job__status=JobStatus.IN_QUEUE,
        number=F("job__attempt_no"),
    )
    return set(waiting.order_by("pk").values_list("job_id", flat=True)[:count])


def bring_forward(
    endpoint: Endpoint,
    seconds: float,
    pks: Collection[UUID] | None = None,
    *statuses: JobStatus,
) -> None:
    """Have jobs polled within `seconds`: those in `pks` or all, in these statuses or any."""
    soon = now() + timedelta(seconds=seconds)
    jobs = Job.objects.filter(
        endpoint=endpoint, status__in=statuses or REMOTE, due_at__gt=soon
    )
    if pks is not None:
        jobs = jobs.filter(pk__in=pks)
    jobs.update(due_at=soon)


def look_again(pauses: Mapping[tuple[datetime, float], Collection[UUID]]) -> None:
    """Set when to poll again: {(when it was read as due, seconds from now): jobs}.

    A job whose webhook has arrived since then stays due.
    """
    for (read_at, seconds), pks in pauses.items():
        rows = Job.objects.filter(pk__in=pks, status__in=REMOTE, due_at__lte=read_at)
        rows.update(due_at=now() + timedelta(seconds=seconds))


def wait_after_move(pk: UUID, seconds: float) -> None:
    """Set the first poll after a move, unless a webhook has arrived since."""
    rows = Job.objects.filter(pk=pk, status__in=REMOTE, due_at__gt=now())
    rows.update(due_at=now() + timedelta(seconds=seconds))


def wait_after_submission(pk: UUID, seconds: float) -> None:
    """Set the first poll of a job that the backend has accepted.

    Poll immediately if the doorbell rang before we read the answer to /run: a job may
    be done before we know that it was accepted.
    """
    current = Attempt.objects.filter(job=OuterRef("pk"), number=OuterRef("attempt_no"))
    has_rung = When(Exists(current.filter(rung_at__isnull=False)), then=Value(now()))
    later = Value(now() + timedelta(seconds=seconds))
    rows = Job.objects.filter(pk=pk, status__in=REMOTE, due_at__gt=now())
    rows.update(due_at=Case(has_rung, default=later))


def recently_rung(endpoint: Endpoint, count: int) -> list[bool]:
    """Return for the last ended attempts whether their webhook arrived."""
    ended = Attempt.objects.filter(
        job__endpoint=endpoint, job__status__in=ENDS, manifest__isnull=True
    ).exclude(runpod_id="")
    pks = ended.order_by("-pk").values_list("pk", flat=True)[:count]
    return were_rung(list(pks))


def were_rung(attempts: list[UUID]) -> list[bool]:
    """Return for each of these attempts, oldest first, whether its webhook arrived."""
    rows = Attempt.objects.filter(pk__in=attempts).order_by("pk")
    return [at is not None for at in rows.values_list("rung_at", flat=True)]
