"""What jobs cost: price per second times run time. An estimate; RunPod's bill decides.

A job's cost is calculated once, soon after its end, and added to the totals in the same
transaction. Every attempt counts: RunPod bills those that failed, too.
"""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.core.cache import cache
from django.db import transaction
from django.db.models import F
from django.utils.timezone import now

from jobs.models import Attempt, Batch, Endpoint, GpuPrice, HealthSample, Job, Spend

CURRENCY = "USD"
AT_ONCE = 500
EXACT = Decimal("0.000001")
PRICES_SECONDS = 30
COLD_MAX_SECONDS = 1800.0
SAMPLE_AGE = timedelta(minutes=10)
Key = tuple[Any, int, int, int]


def price_of(endpoint: Endpoint) -> Decimal | None:
    """Return the US dollars for a worker's second; None if no price is set.

    It is the endpoint's own price, or that of its first GPU tier with one. Your own GPU
    costs nothing.
    """
    if endpoint.price_per_second is not None:
        return endpoint.price_per_second
    if endpoint.kind == Endpoint.Kind.LOCAL:
        return Decimal(0)
    prices = _prices()
    for pool in endpoint.remote.get("gpu_ids") or ():
        if prices.get(pool) is not None:
            return prices[pool]
    return None


def forget_prices() -> None:
    """Reload the prices on the next use; called when they are edited."""
    cache.delete("gpu-prices")


def _prices() -> dict[str, Decimal | None]:
    prices: dict[str, Decimal | None] | None = cache.get("gpu-prices")
    if prices is None:
        prices = dict(GpuPrice.objects.values_list("pool", "per_second"))
        cache.set("gpu-prices", prices, PRICES_SECONDS)
    return prices


def cost_json(job: Job) -> dict[str, Any] | None:
    """Return a job's cost for programs; None while it is unknown."""
    if job.cost is None:
        return None
    detail = job.cost_detail or {}
    return {
        "amount": float(job.cost),
        "currency": CURRENCY,
        "basis": "estimate from run time",
        "price_per_second": float(detail.get("price", 0)),
        "run_s": detail.get("run_s", 0.0),
        "cold_start_s": detail.get("cold_s", 0.0),
    }


# --- calculating ----------------------------------------------------------------------
def settle() -> int:
    """Calculate the costs of ended jobs, oldest end first; return how many.

    Several processes may do this at once, and each may die at any line.
    """
    ended = Job.objects.filter(finished_at__isnull=False, costed_at=None)
    related = ended.in_brief().prefetch_related("attempts")
    jobs = list(related.order_by("finished_at")[:AT_ONCE])
    if not jobs:
        return 0
    is_cold = _cold(jobs)
    totals: dict[Key, list[Any]] = defaultdict(lambda: [0, 0.0, Decimal(0)])
    of_batches: dict[Any, Decimal] = defaultdict(Decimal)
    with transaction.atomic():
        for job in jobs:
            costs = _reckoned(job, is_cold)
            mine = Job.objects.filter(pk=job.pk, costed_at=None)
            if not mine.update(**costs, costed_at=now()):
                continue  # another process was first
            seconds = costs["cost_detail"]["run_s"] + costs["cost_detail"]["cold_s"]
            total = totals[_key(job)]
            total[0] += 1
            total[1] += seconds
            total[2] += costs["cost"] or Decimal(0)
            if job.batch_id and costs["cost"]:
                of_batches[job.batch_id] += costs["cost"]
        for key in sorted(totals, key=str):
            _add(key, *totals[key])
        for batch in sorted(of_batches):
            rows = Batch.objects.filter(pk=batch)
            rows.update(cost=F("cost") + of_batches[batch])
    return len(jobs)


def _reckoned(job: Job, is_cold: dict[Any, bool]) -> dict[str, Any]:
    attempts = list(job.attempts.all())
    run = sum(_run_seconds(job, attempt) for attempt in attempts)
    cold = sum(
        min((attempt.delay_ms or 0) / 1000, COLD_MAX_SECONDS)
        for attempt in attempts
        if is_cold.get(attempt.pk)
    )
    price = price_of(job.endpoint)
    cost = None
    if price is not None:
        cost = (Decimal(str(run + cold)) * price).quantize(EXACT)
    detail = {"run_s": round(run, 3), "cold_s": round(cold, 3)}
    if price is not None:
        detail["price"] = float(price)
    return {"cost": cost, "cost_detail": detail}


def _run_seconds(job: Job, attempt: Attempt) -> float:
    """Return how long a worker had the job: RunPod's figure, else ours."""
    if attempt.execution_ms is not None:
        return attempt.execution_ms / 1000
    is_last = attempt.number == job.attempt_no
    began = attempt.claimed_at or (job.started_at if is_last else None)
    ended = attempt.ended_at or (job.finished_at if is_last else None)
    return max(0.0, (ended - began).total_seconds()) if began and ended else 0.0


def _cold(jobs: list[Job]) -> dict[Any, bool]:
    """Return {attempt: whether no worker was up when it was submitted}.

    Only a sample from just before proves it; without one, no start counts as cold.
    """
    waited = [
        (job.endpoint_id, attempt)
        for job in jobs
        if job.endpoint.kind == Endpoint.Kind.RUNPOD
        for attempt in job.attempts.all()
        if attempt.delay_ms
    ]
    if not waited:
        return {}
    first = min(attempt.created_at for _, attempt in waited) - SAMPLE_AGE
    last = max(attempt.created_at for _, attempt in waited)
    rows = HealthSample.objects.filter(
        endpoint__in={endpoint for endpoint, _ in waited},
        taken_at__range=(first, last),
    ).order_by("-taken_at")
    samples: dict[int, list[HealthSample]] = defaultdict(list)
    for sample in rows:
        samples[sample.endpoint_id].append(sample)
    is_cold = {}
    for endpoint, attempt in waited:
        before = (s for s in samples[endpoint] if s.taken_at <= attempt.created_at)
        sample_before = next(before, None)
        is_cold[attempt.pk] = bool(sample_before and not sample_before.workers)
    return is_cold


def _key(job: Job) -> Key:
    ended = job.finished_at or now()
    return (ended.date(), job.endpoint_id, job.owner_id, job.api_key_id or 0)


def _add(key: Key, jobs: int, seconds: float, amount: Decimal) -> None:
    day, endpoint, user, api_key = key
    row, _ = Spend.objects.get_or_create(
        day=day, endpoint_id=endpoint, user_id=user, api_key_id=api_key
    )
    Spend.objects.filter(pk=row.pk).update(
        jobs=F("jobs") + jobs,
        seconds=F("seconds") + seconds,
        amount=F("amount") + amount,
    )
