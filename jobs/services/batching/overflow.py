"""Which endpoint gets the next jobs of a batch, if an operator lets two share it."""

from collections import Counter
from math import inf
from typing import TypeGuard

from django.db.models import Count

from jobs.models import Batch, Endpoint
from jobs.services.operations import endpoints
from jobs.states import ACTIVE

MARGIN = 10


def places(batch: Batch, number: int) -> list[Endpoint]:
    """Return the endpoints for the next jobs, at most `number`.

    With an overflow endpoint, each gets jobs in proportion to its workers. The number
    is limited so that neither has a long queue while the other is idle.
    """
    both = [
        one for one in (batch.endpoint, batch.endpoint.overflow) if _takes_jobs(one)
    ]
    if len(both) < 2:
        return [*both, batch.endpoint][:1] * number
    rows = batch.jobs.filter(status__in=ACTIVE).order_by().values_list("endpoint_id")
    counts = Counter(dict(rows.annotate(Count("pk"))))
    chosen: list[Endpoint] = []
    while len(chosen) < number:
        best = min(both, key=lambda one: _load(one, counts[one.pk]))
        if _load(best, counts[best.pk]) == inf:
            break
        counts[best.pk] += 1
        chosen.append(best)
    return chosen


def _takes_jobs(endpoint: Endpoint | None) -> TypeGuard[Endpoint]:
    if endpoint is None:
        return False
    return endpoint.is_active and not endpoints.is_gone(endpoint)


def _load(endpoint: Endpoint, jobs: int) -> float:
    """Return jobs per worker; infinite for an endpoint that has enough."""
    slots = max(1, endpoint.max_workers * endpoint.worker_concurrency)
    return inf if jobs >= slots + max(MARGIN, slots) else (jobs + 1) / slots
