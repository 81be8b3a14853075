"""How long a job will take and cost, from those before it."""

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any

from django.core.cache import cache
from django.db.models import Sum
from django.utils.timezone import now

from jobs.models import Endpoint, Job, Upload
from jobs.services.files import references
from jobs.services.money import costs
from jobs.states import JobStatus

RECENT = 200
SIMILAR = 20
CACHED_SECONDS = 30
LEAST_FRACTION = 0.02
ROUND = Decimal("0.0001")


@dataclass(frozen=True)
class Estimate:
    """What jobs like this one took: median seconds and US dollars, and of how many."""

    seconds: float
    cost: Decimal | None
    jobs: int


def usual(endpoint: Endpoint) -> Estimate | None:
    """Return what jobs of an endpoint usually take; None before the first.

    Looked up again after half a minute: every job's page asks.
    """
    name = f"usual-{endpoint.pk}"
    found = cache.get(name, False)
    if found is False:
        spans = _spans(endpoint)
        found = _of([seconds for seconds, _ in spans], endpoint)
        cache.set(name, found, CACHED_SECONDS)
    told: Estimate | None = found
    return told


def similar(endpoint: Endpoint, input: dict[str, Any], owner: Any) -> Estimate | None:
    """Return what jobs with files of about the same size took."""
    spans = _spans(endpoint)
    named = references.uploads_of(input)
    mine = Upload.objects.visible_to(owner).filter(pk__in=named)
    size = mine.aggregate(total=Sum("size"))["total"] or 0
    if size:
        sized = [(abs(math.log(of / size)), seconds) for seconds, of in spans if of]
        near = [seconds for _, seconds in sorted(sized)[:SIMILAR]]
        if near:
            return _of(near, endpoint)
    return _of([seconds for seconds, _ in spans], endpoint)


def eta(job: Job, position: int | None) -> datetime | None:
    """Return when a job will end at this rate; None where nothing can be said."""
    if job.has_ended:
        return None
    fraction = float(job.progress.get("fraction") or 0)
    if job.started_at and fraction >= LEAST_FRACTION:
        passed = (now() - job.started_at).total_seconds()
        return now() + timedelta(seconds=passed * (1 - fraction) / fraction)
    told = usual(job.endpoint)
    if told is None:
        return None
    if job.started_at:
        return max(now(), job.started_at + timedelta(seconds=told.seconds))
    slots = max(1, job.endpoint.max_workers * job.endpoint.worker_concurrency)
    rounds = math.ceil((position or 1) / slots)
    return now() + timedelta(seconds=told.seconds * rounds)


def _spans(endpoint: Endpoint) -> list[tuple[float, int]]:
    """Return (run seconds, bytes of its files) of the newest completed jobs."""
    ended = Job.objects.filter(
        endpoint=endpoint, status=JobStatus.COMPLETED, started_at__isnull=False
    )
    rows = list(
        ended.order_by("-finished_at").values_list("pk", "started_at", "finished_at")[
            :RECENT
        ]
    )
    sizes: dict[Any, int] = defaultdict(int)
    through = Job.uploads.through.objects.filter(job__in=[pk for pk, _, _ in rows])
    for pk, size in through.values_list("job_id", "upload__size"):
        sizes[pk] += size or 0
    return [
        ((end - begin).total_seconds(), sizes[pk])
        for pk, begin, end in rows
        if begin and end
    ]


def _of(seconds: list[float], endpoint: Endpoint) -> Estimate | None:
    if not seconds:
        return None
    middle = median(seconds)
    price = costs.price_of(endpoint)
    cost = None if price is None else (Decimal(str(middle)) * price).quantize(ROUND)
    return Estimate(round(middle, 2), cost, len(seconds))
