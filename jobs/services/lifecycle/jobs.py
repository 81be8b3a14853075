"""What people and programs do with jobs: create, cancel, run again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, When, Window
from django.db.models.functions import RowNumber
from django.utils.timezone import now

from jobs.lib import webhook_urls
from jobs.lib.errors import EndpointPaused
from jobs.models import Endpoint, Job, JobEvent, Upload
from jobs.models.prepared import Prepared
from jobs.services.files import references
from jobs.services.lifecycle import inputs, release
from jobs.services.lifecycle.batch_envelope import PAYLOAD
from jobs.services.money import budgets
from jobs.states import HANDED_OVER, WAITING, Actor, JobStatus, Reason

ROUGHLY = 1000
# RunPod's queue comes first, in order of arrival; then held jobs by priority and turn.
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
    api_key_id: int | None = None,
) -> Job:
    """Accept a job. The loop submits it in the background, never the caller.

    Raise `InvalidInput`, `TooLarge`, `BudgetSpent`, or `Conflict` when the endpoint
    accepts no jobs.
    """
    if not endpoint.is_active:
        raise EndpointPaused(f"{endpoint.title} takes no new jobs now.")
    inputs.check(endpoint, input, references.files_of([input], owner=owner))
    if webhook_url:
        webhook_urls.check_url(webhook_url, "/webhook")
    budgets.check(owner=owner, api_key_id=api_key_id, endpoint=endpoint)
    job = Job(
        owner=owner,
        api_key_id=api_key_id,
        endpoint=endpoint,
        input=input,
        metadata=metadata or {},
        priority=priority,
        turn=release.next_turn(endpoint, owner, priority),
        source_job=source_job,
        webhook_url=webhook_url,
        webhook_events=webhook_events or [],
    )
    with transaction.atomic():
        write([job])
        references.keep([input])
    return job


def write(jobs: Sequence[Job]) -> dict[UUID, set[UUID]]:
    """Insert new jobs, each with its first event and the uploads that its input names.

    Return {job id: deleted uploads} for the jobs that name any. Call it in a
    transaction.
    """
    Job.objects.bulk_create(jobs)
    JobEvent.objects.bulk_create(
        JobEvent(job=job, new_status=job.status, actor=Actor.USER) for job in jobs
    )
    named = {job.pk: set(references.uploads_of(job.input)) for job in jobs}
    uploads = set[UUID]().union(*named.values())
    if not uploads:
        return {}
    uploads = set(Upload.objects.filter(pk__in=uploads).values_list("pk", flat=True))
    Job.uploads.through.objects.bulk_create(
        Job.uploads.through(job_id=pk, upload_id=upload)
        for pk, its in named.items()
        for upload in its & uploads
    )
    return {pk: its - uploads for pk, its in named.items() if its - uploads}


def request_cancel(job: Job) -> bool:
    """Cancel a held job immediately; request cancellation of one that the backend has.

    Return False if the job has ended or its cancellation is already requested: nothing
    changes then.
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


def move_to(job: Job, endpoint: Endpoint) -> bool:
    """Move a held job to another endpoint; return False if it is no longer held.

    Raise `InvalidInput` if that endpoint would refuse the input, `Conflict` if it
    accepts no jobs. To move a job that RunPod has, cancel it and run it again there.
    """
    if not endpoint.is_active:
        raise EndpointPaused(f"{endpoint.title} takes no new jobs.")
    inputs.check(endpoint, job.input, references.files_of([job.input], owner=job.owner))
    held = Job.objects.filter(pk=job.pk, status=JobStatus.PENDING)
    turn = release.next_turn(endpoint, job.owner, job.priority)
    revision = F("revision") + 1
    moved = held.update(endpoint=endpoint, turn=turn, due_at=now(), revision=revision)
    return bool(moved)


def run_again(job: Job, *, owner: Any, api_key_id: int | None = None) -> Job:
    """Create a new job with the same input; `source_job` records the original."""
    with transaction.atomic():
        again = create(
            owner=owner,
            api_key_id=api_key_id,
            endpoint=job.endpoint,
            input=job.input,
            metadata=job.metadata,
            priority=job.priority,
            source_job=job,
            webhook_url=job.webhook_url,
            webhook_events=job.webhook_events,
        )
        if job.batch_id and PAYLOAD in job.input:
            # The handler needs the batch's config, but the batch must not count the
            # job.
            Job.objects.filter(pk=again.pk).update(batch=job.batch_id, is_replaced=True)
    return again


def queue_positions(jobs: list[Job]) -> dict[UUID, int]:
    """Return {job id: position} for those of `jobs` that are waiting, in one query."""
    waiting = [job for job in jobs if job.status in WAITING]
    if not waiting:
        return {}
    where = {job.endpoint_id for job in waiting}
    ranked = Job.objects.filter(status__in=WAITING, endpoint__in=where).annotate(
        is_held=Case(When(status=JobStatus.PENDING, then=1), default=0),
        position=Window(RowNumber(), partition_by="endpoint_id", order_by=ORDER),
    )
    # A filter on the queryset would rank only the filtered rows.
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


def queue_position(job: Job, *, is_rough: bool = False) -> int | None:
    """Return the job's position in its queue, counted from 1; None once it has started.

    This counts where `queue_positions` ranks: ranking would sort the whole queue for
    one job. With `is_rough`, also return None if more than a thousand jobs are ahead;
    that is cheaper.
    """
    if job.status not in WAITING:
        return None
    parameters = {"endpoint": job.endpoint_id, "pk": job.pk}
    if job.status != JobStatus.PENDING:
        return _AHEAD.count(**parameters, moved_at=job.moved_at) + 1
    parameters |= {"priority": job.priority, "turn": job.turn}
    counted = _NEAR_HELD if is_rough else _AHEAD_OF_HELD
    position = counted.count(**parameters, created_at=job.created_at) + 1
    return None if is_rough and position > ROUGHLY else position


def _ahead(endpoint: int, pk: UUID, moved_at: datetime) -> QuerySet[Job, Any]:
    handed_over = Job.objects.filter(endpoint=endpoint, status__in=HANDED_OVER)
    earlier = Q(moved_at__lt=moved_at) | Q(moved_at=moved_at, pk__lt=pk)
    return handed_over.filter(earlier).order_by().values("pk")


def _ahead_of_held(
    endpoint: int, pk: UUID, priority: int, turn: int, created_at: datetime
) -> QuerySet[Job, Any]:
    same_turn = Q(priority=priority, turn=turn)
    before = (
        Q(priority__lt=priority)
        | Q(priority=priority, turn__lt=turn)
        | same_turn & Q(created_at__lt=created_at)
        | same_turn & Q(created_at=created_at, pk__lt=pk)
    )
    held = Q(status=JobStatus.PENDING) & before
    jobs = Job.objects.filter(endpoint=endpoint).order_by().values("pk")
    return jobs.filter(Q(status__in=HANDED_OVER) | held)


_THEN = (datetime(2001, 1, 1, tzinfo=UTC), datetime(2002, 1, 1, tzinfo=UTC))
_THERE: dict[str, Any] = {"endpoint": (-1, -2), "pk": (UUID(int=1), UUID(int=2))}
_HELD = {**_THERE, "priority": (-3, -4), "turn": (-5, -6), "created_at": _THEN}
_AHEAD = Prepared(_ahead, **_THERE, moved_at=_THEN)
_AHEAD_OF_HELD = Prepared(_ahead_of_held, **_HELD)
_NEAR_HELD = Prepared(
    lambda **parameters: _ahead_of_held(**parameters)[:ROUGHLY], **_HELD
)
