"""How long the newest completed jobs of an endpoint ran: what every estimate rests on."""

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from django.db.models import OuterRef, Q, Subquery

from jobs.models import Endpoint, Job
from jobs.states import JobStatus

NEWEST = 200
ENOUGH = 20


class RunTime(NamedTuple):
    """One job, and how many seconds it ran."""

    job: UUID
    seconds: float


def newest(endpoints: Collection[int]) -> dict[int, list[RunTime]]:
    """Return {endpoint id: its newest run times}; two queries for any number of ids."""
    completed = Job.objects.filter(
        status=JobStatus.COMPLETED, started_at__isnull=False, finished_at__isnull=False
    ).order_by("-finished_at")
    its = completed.filter(endpoint=OuterRef("pk")).values("finished_at")
    since = Subquery(its[NEWEST - 1 : NEWEST])
    wanted = Q(pk__in=[])
    for pk, oldest in Endpoint.objects.filter(pk__in=endpoints).values_list(
        "pk", since
    ):
        wanted |= Q(endpoint=pk, **({"finished_at__gte": oldest} if oldest else {}))
    rows = completed.filter(wanted).values_list(
        *("endpoint_id", "pk", "started_at", "finished_at")
    )
    run_times: dict[int, list[RunTime]] = defaultdict(list)
    for endpoint, job, started_at, finished_at in rows:
        if len(run_times[endpoint]) < NEWEST and started_at and finished_at:
            seconds = (finished_at - started_at).total_seconds()
            run_times[endpoint].append(RunTime(job, seconds))
    return dict(run_times)


def quantile(endpoint: int, fraction: float) -> float:
    """Return a quantile of an endpoint's newest run times; 0 where there are too few."""
    seconds = sorted(one.seconds for one in newest([endpoint]).get(endpoint, ()))
    return seconds[int(len(seconds) * fraction)] if len(seconds) >= ENOUGH else 0.0
