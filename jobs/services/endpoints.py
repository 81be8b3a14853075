"""Talking to endpoints: clients, purging, and what we remember of their troubles."""

from typing import Any

from django.db import transaction
from django.utils.timezone import now

from jobs import nudge
from jobs.models import Endpoint, Job
from jobs.runpod import EndpointClient
from jobs.states import JobStatus


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


def usual_seconds(endpoint: Endpoint) -> float | None:
    """Return the median run time of the newest completed jobs, or None."""
    ended = Job.objects.filter(
        endpoint=endpoint, status=JobStatus.COMPLETED, started_at__isnull=False
    ).order_by("-created_at")
    spans = sorted(
        (finished - started).total_seconds()
        for started, finished in ended.values_list("started_at", "finished_at")[:25]
        if started and finished
    )
    return spans[len(spans) // 2] if spans else None


def workers_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return the backend's own counts of workers and jobs; raise RunPodError."""
    with client_for(endpoint) as client:
        health = client.health()
    return {"workers": health.workers, "jobs": health.jobs}
