"""The JSON form of a job: for programs, live events and webhooks.

`base` is the URL at which the reader reaches us, such as "https://slipway.example",
without a trailing slash.
"""

from functools import cache
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from jobs.models import Artifact, Attempt, Job
from jobs.services.lifecycle import completion, explain, retention
from jobs.services.money import costs, estimates
from jobs.states import JobStatus

Json = dict[str, Any]
NO_PROGRESS: Json = {"fraction": None, "message": "", "stage": "", "seq": 0}
# What job_json reads besides the row and its endpoint: for prefetch_related.
PREFETCHED = ("attempts__artifacts",)


def job_json(
    job: Job, *, base: str = settings.PUBLIC_URL, position: int | None = None
) -> Json:
    """Return a job as JSON; `position` is its place in the queue."""
    url = f"{base}{_paths()[0]}{job.pk}"
    # Without an attempt, skip the query.
    attempts = list(job.attempts.all()) if job.attempt_no else []
    files = completion.of_job(job) if attempts else []
    return {
        "id": str(job.pk),
        "endpoint": job.endpoint.slug,
        "status": job.status,
        "reason": job.reason,
        "explanation": explain.why_cancelled(job),
        "cancel_requested": job.cancel_requested_at is not None,
        "may_have_run_twice": job.has_maybe_run_twice,
        "priority": Job.Priority(job.priority).label,
        "progress": {**NO_PROGRESS, **job.progress},
        "queue": {"position": position},
        "input": job.input,
        "output": job.output if job.status == JobStatus.COMPLETED else None,
        "outputs": [_output(url, artifact) for artifact in files],
        "error": _error(job),
        "attempts": [_attempt(attempt) for attempt in attempts],
        "metrics": _metrics(job),
        "cost": costs.cost_json(job),
        "eta": estimates.eta(job, position),
        "metadata": job.metadata,
        "webhook": _webhook(job),
        "batch": str(job.batch_id) if job.batch_id else None,
        "batch_index": job.batch_index,
        "source_job": str(job.source_job_id) if job.source_job_id else None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "kept": job.is_kept,
        "retention_until": retention.until(job),
        "urls": _urls(url, f"{base}{_paths()[1]}{job.pk}/"),
    }


def _urls(url: str, page: str) -> dict[str, str]:
    return {
        "self": url,
        "cancel": f"{url}/cancel",
        "retry": f"{url}/retry",
        "events": f"{url}/events",
        "web": page,
    }


@cache
def _paths() -> tuple[str, str]:
    """Return the URL prefixes of jobs in the API and on pages; computed once."""
    placeholder = UUID(int=0)
    return (
        reverse("api:read_job", kwargs={"job_id": placeholder}).removesuffix(
            str(placeholder)
        ),
        reverse("job", kwargs={"job_id": placeholder}).removesuffix(f"{placeholder}/"),
    )


def _output(url: str, artifact: Artifact) -> Json:
    return {
        "name": artifact.name,
        "content_type": artifact.content_type,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "url": f"{url}/outputs/{quote(artifact.name, safe='')}",
    }


def _error(job: Job) -> Json | None:
    if not job.error_code:
        return None
    return {
        "code": job.error_code,
        "message": job.error_message,
        "retryable": job.is_error_retryable,
    }


def _attempt(attempt: Attempt) -> Json:
    return {
        "n": attempt.number,
        "backend_id": attempt.runpod_id,
        "worker": attempt.worker_id,
        "status": attempt.raw_status,
        "notes": attempt.notes,
        "started_at": attempt.claimed_at,
        "finished_at": attempt.ended_at,
    }


def _metrics(job: Job) -> dict[str, float | None]:
    def span(start: Any, end: Any) -> float | None:
        return (end - start).total_seconds() if start and end else None

    return {
        "queued_s": span(job.created_at, job.started_at),
        "run_s": span(job.started_at, job.finished_at),
        "total_s": span(job.created_at, job.finished_at),
    }


def _webhook(job: Job) -> Json | None:
    if not job.webhook_url:
        return None
    return {"url": job.webhook_url, "events": job.webhook_events}
