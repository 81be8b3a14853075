"""What people and programs do with jobs: create, cancel, run again."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Window
from django.db.models.functions import RowNumber
from django.utils.timezone import now

from jobs import nudge
from jobs.errors import Conflict
from jobs.models import Endpoint, Job, Upload
from jobs.services import inputs
from jobs.states import Actor, JobStatus, Reason

WAITING = (
    JobStatus.PENDING,
    JobStatus.SUBMITTING,
    JobStatus.UNCONFIRMED,
    JobStatus.IN_QUEUE,
)


def create(
    *,
    owner: Any,
    endpoint: Endpoint,
    input: dict[str, Any],
    metadata: dict[str, Any] | None = None,
    priority: int = Job.Priority.NORMAL,
    source_job: Job | None = None,
) -> Job:
    """Accept a job. It is submitted in the background, never by the caller.

    Raise `InvalidInput`, `TooLarge`, or `Conflict` when the endpoint takes no jobs.
    """
    if not endpoint.is_active:
        raise Conflict(
            f"{endpoint.title} takes no new jobs now.", code="endpoint_paused"
        )
    inputs.check(endpoint, input, owner=owner)
    with transaction.atomic():
        job = Job.objects.create(
            owner=owner,
            endpoint=endpoint,
            input=input,
            metadata=metadata or {},
            priority=priority,
            source_job=source_job,
        )
        job.events.create(new_status=job.status, actor=Actor.USER)
        # A file that a job needs no longer expires with the unfinished ones.
        Upload.objects.filter(pk__in=inputs.uploads_of(input)).update(expires_at=None)
        nudge.job(job.pk)
    return job


def request_cancel(job: Job) -> bool:
    """Cancel a held job at once; ask for the end of one that the backend has.

    Return False when the job had ended or was asked before: that changes nothing.
    """
    if job.status == JobStatus.PENDING and job.advance(
        JobStatus.CANCELLED, by=Actor.USER, reason=Reason.USER
    ):
        return True
    with transaction.atomic():
        asked = (
            Job.objects.active()
            .filter(pk=job.pk, cancel_requested_at=None)
            .update(cancel_requested_at=now(), due_at=now())
        )
        if asked:
            nudge.job(job.pk)
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
    )


def queue_positions(jobs: list[Job]) -> dict[UUID, int]:
    """Return {job id: position} for those of `jobs` that wait, in one query."""
    waiting = [job.pk for job in jobs if job.status in WAITING]
    if not waiting:
        return {}
    ranked = Job.objects.filter(status__in=WAITING).annotate(
        position=Window(
            RowNumber(), partition_by="endpoint_id", order_by=["created_at", "id"]
        )
    )
    found = ranked.filter(pk__in=waiting).order_by()
    return dict(found.values_list("pk", "position"))


def queue_position(job: Job) -> int | None:
    """Return how many jobs of the endpoint start first, plus one; None once started."""
    if job.status not in WAITING:
        return None
    earlier = Q(created_at__lt=job.created_at) | Q(
        created_at=job.created_at, pk__lt=job.pk
    )
    ahead = Job.objects.filter(earlier, endpoint=job.endpoint_id, status__in=WAITING)
    return ahead.count() + 1
