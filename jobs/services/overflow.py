"""Which endpoint takes the next jobs of a batch, where an operator lets two share it."""

from collections import Counter
from math import inf

from jobs.models import Batch, Endpoint
from jobs.services import endpoints
from jobs.states import ACTIVE

MARGIN = 10


def places(batch: Batch, number: int) -> list[Endpoint]:
    """Return where the next jobs go, at most `number`.

    With an overflow endpoint each gets jobs in proportion to its workers, and only so
    many that neither sits on a pile while the other has nothing to do.
    """
    first, other = batch.endpoint, batch.endpoint.overflow
    if other is None or not other.is_active or endpoints.is_gone(other):
        return [first] * number
    rows = batch.jobs.filter(status__in=ACTIVE).order_by().values_list("endpoint_id")
    there = Counter(pk for (pk,) in rows)
    found: list[Endpoint] = []
    while len(found) < number:
        best = min((first, other), key=lambda one: _load(one, there[one.pk]))
        if _load(best, there[best.pk]) == inf:
            break
        there[best.pk] += 1
        found.append(best)
    return found


def _load(endpoint: Endpoint, jobs: int) -> float:
    """Return jobs for each worker; infinite for an endpoint that has enough."""
    slots = max(1, endpoint.max_workers * endpoint.worker_concurrency)
    return inf if jobs >= slots + max(MARGIN, slots) else (jobs + 1) / slots
