"""What people and programs do with jobs: create, cancel, run again."""

from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Case, Q, When, Window
from django.db.models.functions import RowNumber
from django.utils.timezone import now

from jobs.errors import Conflict
from jobs.models import Endpoint, Job, Upload
from jobs.services import inputs, release, webhook_urls
from jobs.states import Actor, JobStatus, Reason

WAITING = (
    JobStatus.PENDING,
    JobStatus.SUBMITTING,
    JobStatus.UNCONFIRMED,
    JobStatus.IN_QUEUE,
)
HANDED_OVER = WAITING[1:]
# RunPod's queue is first in, first out; then come ours, by priority and turn.
ORDER = (
    "is_held",
    Case(When(status=JobStatus.PENDING, then="priority"), default=0),
    Case(When(status=JobStatus.PENDING, then="turn"), default=0),
    Case(When(status=JobStatus.PENDING, then="created_at"), default="moved_at"),
    "id",
)


def create(
    *,
    owner: Any,
    endpoint: Endpoint,
    input: dict[str, Any],
    metadata: dict[str, Any] | None = None,
    priority: int = Job.Priority.NORMAL,
    source_job: Job | None = None,
    webhook_url: str = "",
    webhook_events: list[str] | None = None,
) -> Job:
    """Accept a job. It is submitted in the background, never by the caller.

    Raise `InvalidInput`, `TooLarge`, or `Conflict` when the endpoint takes no jobs.
    """
    if not endpoint.is_active:
        raise Conflict(
            f"{endpoint.title} takes no new jobs now.", code="endpoint_paused"
        )
    inputs.check(endpoint, input, owner=owner)
    if webhook_url:
        webhook_urls.check_url(webhook_url, "/webhook")
    with transaction.atomic():
        job = Job.objects.create(
            owner=owner,
            endpoint=endpoint,
            input=input,
            metadata=metadata or {},
            priority=priority,
            turn=release.next_turn(endpoint, owner, priority),
            source_job=source_job,
            webhook_url=webhook_url,
            webhook_events=webhook_events or [],
        )
        job.events.create(new_status=job.status, actor=Actor.USER)
        named = inputs.uploads_of(input)
        if named:
            files = Upload.objects.filter(pk__in=named)
            job.uploads.add(*files)
            # A file that a job needs no longer expires with the unfinished ones.
            files.update(expires_at=None)
    return job


def request_cancel(job: Job) -> bool:
    """Cancel a held job at once; ask for the end of one that the backend has.

    Return False when the job had ended or was asked before: that changes nothing.
    """
    if job.status == JobStatus.PENDING and job.advance(
        JobStatus.CANCELLED, by=Actor.USER, reason=Reason.USER
    ):
        return True
    asked = (
        Job.objects.active()
        .filter(pk=job.pk, cancel_requested_at=None)
        .update(cancel_requested_at=now(), due_at=now())
    )
    job.refresh_from_db()
    return bool(asked)


def run_again(job: Job, *, owner: Any) -> Job:
    """Create a new job with the same input; `source_job` says where it comes from."""
    return create(
        owner=owner,
        endpoint=job.endpoint,
        input=job.input,
        metadata=job.metadata,
        priority=job.priority,
        source_job=job,
        webhook_url=job.webhook_url,
        webhook_events=job.webhook_events,
    )


def queue_positions(jobs: list[Job]) -> dict[UUID, int]:
    """Return {job id: position} for those of `jobs` that wait, in one query."""
    waiting = [job for job in jobs if job.status in WAITING]
    if not waiting:
        return {}
    where = {job.endpoint_id for job in waiting}
    ranked = Job.objects.filter(status__in=WAITING, endpoint__in=where).annotate(
        is_held=Case(When(status=JobStatus.PENDING, then=1), default=0),
        position=Window(RowNumber(), partition_by="endpoint_id", order_by=ORDER),
    )
    # A filter on the queryset would count only among what it leaves.
    sql, params = (
        ranked.order_by().values_list("id", "position").query.sql_with_params()
    )
    prepare = Job._meta.pk.get_db_prep_value
    wanted = [prepare(job.pk, connection) for job in waiting]
    marks = ", ".join(["%s"] * len(wanted))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT * FROM ({sql}) AS ranked WHERE ranked.id IN ({marks})",  # noqa: S608 - parts are Django's
            [*params, *wanted],
        )
        return {UUID(str(pk)): position for pk, position in cursor.fetchall()}


def queue_position(job: Job) -> int | None:
    """Return how many jobs of the endpoint start first, plus one; None once started.

    Counts, where `queue_positions` ranks: that would sort all who wait for one of them.
    """
    if job.status not in WAITING:
        return None
    there = Job.objects.filter(endpoint=job.endpoint_id)
    handed_over = there.filter(status__in=HANDED_OVER)
    if job.status != JobStatus.PENDING:
        earlier = Q(moved_at__lt=job.moved_at) | Q(moved_at=job.moved_at, pk__lt=job.pk)
        return handed_over.filter(earlier).count() + 1
    held = there.filter(status=JobStatus.PENDING, priority__lte=job.priority)
    return handed_over.count() + held.filter(_before(job)).count() + 1


def _before(job: Job) -> Q:
    """Return what is true of held jobs that are handed over before `job`."""
    same_turn = Q(priority=job.priority, turn=job.turn)
    return (
        Q(priority__lt=job.priority)
        | Q(priority=job.priority, turn__lt=job.turn)
        | same_turn & Q(created_at__lt=job.created_at)
        | same_turn & Q(created_at=job.created_at, pk__lt=job.pk)
    )
