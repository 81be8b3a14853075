"""How long an endpoint's newest completed jobs ran: the basis of every estimate."""

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery

from jobs.models import Endpoint, Job
from jobs.states import JobStatus

NEWEST = 200
ENOUGH = 20


class RunTime(NamedTuple):
    """A job and its run time in seconds."""

    job: UUID
    seconds: float


def newest(endpoints: Collection[int]) -> dict[int, list[RunTime]]:
    """Return {endpoint id: its newest run times}; at most two queries."""
    completed = Job.objects.filter(
        status=JobStatus.COMPLETED, started_at__isnull=False, finished_at__isnull=False
    ).order_by("-finished_at")
    if len(endpoints) == 1:  # the query of every job's page
        rows = completed.filter(endpoint__in=endpoints)[:NEWEST]
    else:
        rows = completed.filter(_is_among_newest(completed, endpoints))
    run_times: dict[int, list[RunTime]] = defaultdict(list)
    for endpoint, job, started_at, finished_at in rows.values_list(
        *("endpoint_id", "pk", "started_at", "finished_at")
    ):
        if len(run_times[endpoint]) < NEWEST and started_at and finished_at:
            seconds = (finished_at - started_at).total_seconds()
            run_times[endpoint].append(RunTime(job, seconds))
    return dict(run_times)


def _is_among_newest(completed: QuerySet[Job], endpoints: Collection[int]) -> Q:
    its = completed.filter(endpoint=OuterRef("pk")).values("finished_at")
    oldest = Subquery(its[NEWEST - 1 : NEWEST])
    rows = Endpoint.objects.filter(pk__in=endpoints).values_list("pk", oldest)
    wanted = Q(pk__in=[])
    for pk, since in rows:
        wanted |= Q(endpoint=pk, **({"finished_at__gte": since} if since else {}))
    return wanted


def quantile(endpoint: int, fraction: float) -> float:
    """Return a quantile of an endpoint's newest run times; 0 if there are too few."""
    seconds = sorted(one.seconds for one in newest([endpoint]).get(endpoint, ()))
    return seconds[int(len(seconds) * fraction)] if len(seconds) >= ENOUGH else 0.0
