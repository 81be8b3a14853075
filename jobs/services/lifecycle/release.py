"""Which held job goes next: owners take turns, and RunPod holds a limited number.

A job gets its `turn` when it is created: one after its owner's last turn, but never
before the endpoint's current turn. Ordering by it gives round robin without any
bookkeeping (start-time fair queueing).
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet, Subquery
from django.utils.timezone import now

from jobs.lib import conf
from jobs.models import Endpoint, Job
from jobs.models.prepared import Prepared
from jobs.services.operations import endpoints
from jobs.states import AT_BACKEND, Actor, JobStatus, Reason

AT_ONCE = 500


def next_turn(endpoint: Endpoint, owner: Any, priority: int) -> int:
    """Return the turn of a new job."""
    parameters = {"endpoint": endpoint.pk, "owner": owner.pk, "priority": priority}
    ((current, last),) = _TURNS.values(**parameters)
    # If the owner has held jobs, the endpoint's current turn is not past their last
    # one.
    return current or 0 if last is None else last + 1


def _turns(endpoint: int, owner: int, priority: int) -> QuerySet[Endpoint, Any]:
    """Return an endpoint's current turn, and the owner's last turn there."""
    held = Job.objects.filter(
        endpoint=endpoint, status=JobStatus.PENDING, priority=priority
    )
    mine = held.filter(owner=owner)
    return Endpoint.objects.filter(pk=endpoint).values_list(
        Subquery(held.order_by("turn").values("turn")[:1]),
        Subquery(mine.order_by("-turn").values("turn")[:1]),
    )


_TURNS = Prepared(_turns, endpoint=(-1, -2), owner=(-3, -4), priority=(-5, -6))


def room(endpoint: Endpoint, *, workers: int) -> int | None:
    """Return how many more jobs RunPod may be given; None means no limit.

    `workers` is the number of workers the backend reports now.
    """
    most = endpoints.release_window(endpoint, workers=workers)
    if most is None:
        return None
    at_backend = Job.objects.filter(endpoint=endpoint, status__in=AT_BACKEND).count()
    return max(0, most - at_backend)


def pick(endpoint: Endpoint, limit: int, busy: Collection[UUID] = ()) -> list[Job]:
    """Return the held jobs whose turn has come: at most `limit`, none in `busy`."""
    due = Job.objects.held().filter(endpoint=endpoint, due_at__lte=now())
    due = due.exclude(created_at__lte=F("endpoint__purged_at"))
    return list(
        due.exclude(pk__in=busy).with_endpoint().select_related("batch")[:limit]
    )


def drop_held(endpoint: Endpoint) -> int:
    """End held jobs that can no longer be sent, some at a time; return how many."""
    held = Job.objects.held().filter(endpoint=endpoint)
    dropped = [
        job.advance(JobStatus.CANCELLED, by=Actor.USER, reason=Reason.USER)
        for job in held.filter(cancel_requested_at__isnull=False)[:AT_ONCE]
    ]
    if endpoint.purged_at:
        dropped += [
            job.advance(JobStatus.CANCELLED, by=Actor.USER, reason=Reason.PURGED)
            for job in held.filter(created_at__lte=endpoint.purged_at)[:AT_ONCE]
        ]
    if endpoints.is_gone(endpoint):
        # Keep those created since the last 404: the next one sent is a probe.
        old = held.filter(created_at__lte=endpoint.not_found_at)
        dropped += [
            job.advance(
                JobStatus.CANCELLED, by=Actor.SYNC, reason=Reason.ENDPOINT_NOT_FOUND
            )
            for job in old[:AT_ONCE]
        ]
    overdue = now() - timedelta(seconds=conf.QUEUE_SECONDS)
    dropped += [
        job.advance(JobStatus.TIMED_OUT, by=Actor.SWEEPER, error_code="queue_timeout")
        for job in held.filter(created_at__lte=overdue)[:AT_ONCE]
    ]
    return sum(dropped)
