"""Talking to endpoints: clients, purging, and what we remember of their troubles."""

from collections import defaultdict
from statistics import median
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from jobs import nudge
from jobs.models import Endpoint, Job
from jobs.runpod import EndpointClient
from jobs.states import JobStatus

RECENT = 200


def client_for(endpoint: Endpoint) -> EndpointClient:
    """Return a client of the endpoint's job API, local or RunPod's."""
    return EndpointClient(endpoint.base_url, endpoint.client_key)


def purge_queue(endpoint: Endpoint) -> int:
    """Drop the jobs that no worker has taken; ours among them become CANCELLED.

    Return how many the backend dropped. The jobs move when the backend's 404 proves it,
    which the loop asks for at once. Raise RunPodError when the backend cannot be told.
    """
    Endpoint.objects.filter(pk=endpoint.pk).update(purged_at=now())
    with client_for(endpoint) as client:
        removed = client.purge_queue()
    waiting = Job.objects.filter(endpoint=endpoint, status=JobStatus.IN_QUEUE)
    with transaction.atomic():
        waiting.update(due_at=now())
        for pk in waiting.values_list("pk", flat=True):
            nudge.job(pk)
    return removed


def mark_unreachable(endpoint: Endpoint, *, is_unreachable: bool) -> None:
    """Remember since when RunPod does not know the endpoint, or that it does again."""
    before = Endpoint.objects.filter(
        pk=endpoint.pk, unreachable_at__isnull=is_unreachable
    )
    before.update(unreachable_at=now() if is_unreachable else None)


def usual_seconds() -> dict[int, float]:
    """Return {endpoint id: median run time} of the newest completed jobs."""
    ended = Job.objects.filter(status=JobStatus.COMPLETED, started_at__isnull=False)
    rows = ended.order_by("-created_at").values_list(
        "endpoint_id", "started_at", "finished_at"
    )
    spans: dict[int, list[float]] = defaultdict(list)
    for endpoint, started, finished in rows[:RECENT]:
        if started and finished:
            spans[endpoint].append((finished - started).total_seconds())
    return {endpoint: median(found) for endpoint, found in spans.items()}


def workers_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return the backend's own counts of workers and jobs; raise RunPodError."""
    with client_for(endpoint) as client:
        health = client.health()
    return {"workers": health.workers, "jobs": health.jobs}
