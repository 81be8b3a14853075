"""Calls to endpoints: clients, purging, and the record of their failures."""

from datetime import timedelta
from typing import Any

from django.db.models import F
from django.utils.timezone import now

from jobs.lib import conf
from jobs.models import Endpoint, Job
from jobs.runpod import EndpointClient
from jobs.runpod.errors import RunPodError
from jobs.services.operations import alerts, audit
from jobs.states import JobStatus

RELEASE_MARGIN = 10  # jobs that RunPod may hold beyond what its workers need


def client_for(endpoint: Endpoint) -> EndpointClient:
    """Return a client of the endpoint's job API, local or RunPod's."""
    return EndpointClient(endpoint.base_url, endpoint.client_key)


def purge_queue(endpoint: Endpoint, *, user: Any = None) -> int:
    """Delete the queued jobs that no worker has taken; ours become CANCELLED.

    Return how many the backend deleted. Those jobs move when the loop's next poll gets
    a 404, which is due immediately; jobs held by us move when the loop sees
    `purged_at`. Raise RunPodError if the backend cannot be reached.
    """
    row = Endpoint.objects.filter(pk=endpoint.pk)
    # Set this first, so that no held job is sent into the emptied queue.
    row.update(purged_at=now())
    try:
        with client_for(endpoint) as client:
            removed = client.purge_queue()
    except RunPodError:
        row.update(purged_at=endpoint.purged_at)
        raise
    waiting = Job.objects.filter(endpoint=endpoint, status=JobStatus.IN_QUEUE)
    waiting.update(due_at=now())
    audit.record(user, "purged", endpoint.slug, removed=removed)
    return removed


def mark_unreachable(endpoint: Endpoint) -> None:
    """Count a 404 of the whole endpoint; raise the alert once it is certain."""
    rows = Endpoint.objects.filter(pk=endpoint.pk)
    rows.filter(unreachable_at=None).update(unreachable_at=now())
    rows.update(not_found_count=F("not_found_count") + 1, not_found_at=now())
    names = ["unreachable_at", "not_found_at", "not_found_count"]
    endpoint.refresh_from_db(fields=names)
    if is_gone(endpoint):
        alerts.raise_alert(endpoint, "endpoint_not_found")


def mark_reachable(endpoint: Endpoint) -> None:
    """Record that RunPod knows the endpoint, or knows it again."""
    Endpoint.objects.filter(pk=endpoint.pk).update(
        unreachable_at=None, not_found_at=None, not_found_count=0
    )
    endpoint.unreachable_at, endpoint.not_found_count = None, 0
    alerts.resolve(endpoint)


def is_gone(endpoint: Endpoint) -> bool:
    """Whether three 404s over twenty seconds prove that RunPod lacks this endpoint."""
    since = endpoint.unreachable_at
    return (
        since is not None
        and endpoint.not_found_count >= conf.NOT_FOUND_ANSWERS
        and since + timedelta(seconds=conf.NOT_FOUND_SECONDS) <= now()
    )


def ttl_seconds(endpoint: Endpoint) -> int:
    """Return RunPod's time to live for a job, from its submission.

    RunPod then deletes even a running job, so this covers the longest queue, the
    execution and the time we need to read the result.
    """
    execution = endpoint.execution_timeout_seconds
    return int(conf.QUEUE_SECONDS + execution + conf.READING_MARGIN_SECONDS)


def release_window(endpoint: Endpoint, *, workers: int) -> int | None:
    """Return how many jobs RunPod may hold at once; None means no limit."""
    if endpoint.release_window != 0:
        return endpoint.release_window
    slots = max(endpoint.max_workers, workers) * endpoint.worker_concurrency
    return slots + max(RELEASE_MARGIN, slots)


def workers_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return the backend's own counts of workers and jobs; raise RunPodError."""
    with client_for(endpoint) as client:
        health = client.health()
    return {"workers": health.workers, "jobs": health.jobs}
