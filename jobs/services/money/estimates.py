"""How long a job will take and what it will cost, based on earlier jobs."""

import math
from collections import defaultdict
from collections.abc import Iterable
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
from jobs.services.money import costs, run_times

SIMILAR = 20
CACHED_SECONDS = 30
LEAST_FRACTION = 0.02
ROUND = Decimal("0.0001")


@dataclass(frozen=True)
class Estimate:
    """Median seconds and US dollars of similar jobs, and how many there were."""

    seconds: float
    cost: Decimal | None
    jobs: int


def usual(endpoint: Endpoint) -> Estimate | None:
    """Return what an endpoint's jobs usually take; None before the first one."""
    return usual_of([endpoint]).get(endpoint.pk)


def usual_of(endpoints: Iterable[Endpoint]) -> dict[int, Estimate]:
    """Return {endpoint id: what its jobs usually take}; endpoints without any are left out.

    Cached for half a minute, because every job's page asks.
    """
    names = {f"usual-{endpoint.pk}": endpoint for endpoint in endpoints}
    estimates: dict[str, Estimate | None] = cache.get_many(names)
    missing = {name: names[name].pk for name in names if name not in estimates}
    if missing:
        newest = run_times.newest(missing.values())
        looked_up = {
            name: _of([each.seconds for each in newest.get(pk, ())], names[name])
            for name, pk in missing.items()
        }
        cache.set_many(looked_up, CACHED_SECONDS)
        estimates |= looked_up
    return {
        names[name].pk: estimate for name, estimate in estimates.items() if estimate
    }


def similar(endpoint: Endpoint, input: dict[str, Any], owner: Any) -> Estimate | None:
    """Return what jobs with files of similar size took."""
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
    """Return when a job will end at this rate; None if nothing is known."""
    if job.has_ended:
        return None
    fraction = float(job.progress.get("fraction") or 0)
    if job.started_at and fraction >= LEAST_FRACTION:
        passed = (now() - job.started_at).total_seconds()
        return now() + timedelta(seconds=passed * (1 - fraction) / fraction)
    estimate = usual(job.endpoint)
    if estimate is None:
        return None
    if job.started_at:
        return max(now(), job.started_at + timedelta(seconds=estimate.seconds))
    slots = max(1, job.endpoint.max_workers * job.endpoint.worker_concurrency)
    rounds = math.ceil((position or 1) / slots)
    return now() + timedelta(seconds=estimate.seconds * rounds)


def _spans(endpoint: Endpoint) -> list[tuple[float, int]]:
    """Return (run seconds, bytes of its files) of the newest completed jobs."""
    newest = run_times.newest([endpoint.pk]).get(endpoint.pk, [])
    sizes: dict[Any, int] = defaultdict(int)
    through = Job.uploads.through.objects.filter(job__in=[each.job for each in newest])
    for pk, size in through.values_list("job_id", "upload__size"):
        sizes[pk] += size or 0
    return [(each.seconds, sizes[each.job]) for each in newest]


def _of(seconds: list[float], endpoint: Endpoint) -> Estimate | None:
    if not seconds:
        return None
    middle = median(seconds)
    price = costs.price_of(endpoint)
    cost = None if price is None else (Decimal(str(middle)) * price).quantize(ROUND)
    return Estimate(round(middle, 2), cost, len(seconds))
