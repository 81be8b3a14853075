"""`/api/v1/jobs`: create, list, read, cancel, run again, fetch outputs."""

import json
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from ninja import Router, Status

from jobs import clean_json
from jobs.api.auth import ApiRequest
from jobs.api.errors import require
from jobs.api.once import once
from jobs.api.paging import page_of
from jobs.api.schemas import JobIn, JobOut, JobPage, KeepIn
from jobs.errors import InvalidInput, NotFound, Problem, TooLarge
from jobs.models import Artifact, Endpoint, Job
from jobs.services import artifacts, downloads, explain, retention
from jobs.services import jobs as service
from jobs.states import JobStatus

router = Router()
METADATA_MAX_BYTES = 16 * 1024
RELATED = ("endpoint",)


@router.post("", response={201: JobOut}, summary="Create a job")
def create_job(
    request: ApiRequest, body: JobIn, response: HttpResponse
) -> Status[dict[str, Any]]:
    """Accept a job and answer at once; it is submitted in the background.

    With the header `Idempotency-Key` the request may be repeated for a day: it is
    answered as the first time, and there is one job.
    """
    require(request, "jobs:write")
    return once(request, response, lambda: _create(request, body))


def _create(request: ApiRequest, body: JobIn) -> dict[str, Any]:
    endpoint = Endpoint.objects.filter(slug=body.endpoint).first()
    if endpoint is None:
        raise InvalidInput(
            Problem("/endpoint", f"There is no endpoint “{body.endpoint}”.", "unknown")
        )
    clean_json.check(body.metadata, "/metadata")
    if len(json.dumps(body.metadata)) > METADATA_MAX_BYTES:
        raise TooLarge("metadata is larger than 16 KiB.")
    job = service.create(
        owner=request.auth.owner,
        endpoint=endpoint,
        input=body.input,
        metadata=body.metadata,
        priority=Job.Priority[body.priority.upper()],
    )
    return _json(request, job)


@router.get("", response=JobPage, summary="List jobs")
def list_jobs(
    request: ApiRequest,
    status: JobStatus | None = None,
    endpoint: str = "",
    limit: int = 50,
    cursor: str = "",
) -> dict[str, Any]:
    """Return the caller's jobs, newest first."""
    require(request, "jobs:read")
    found = Job.objects.filter(owner=request.auth.owner).select_related(*RELATED)
    if status:
        found = found.filter(status=status)
    if endpoint:
        found = found.filter(endpoint__slug=endpoint)
    page = page_of(
        request, found.prefetch_related("attempts__artifacts"), limit, cursor
    )
    positions = service.queue_positions(page["data"])
    shown = [job_json(request, job, positions.get(job.pk)) for job in page["data"]]
    return {**page, "data": shown}


@router.get("/{job_id}", response=JobOut, summary="Read a job")
def read_job(request: ApiRequest, job_id: UUID) -> dict[str, Any]:
    """Return one job with its progress, attempts and outputs."""
    require(request, "jobs:read")
    return _json(request, _job(request, job_id))


@router.post("/{job_id}/cancel", response={202: JobOut}, summary="Cancel a job")
def cancel_job(request: ApiRequest, job_id: UUID) -> Status[dict[str, Any]]:
    """Ask for the end of a job. A job that ended stays as it is."""
    require(request, "jobs:write")
    job = _job(request, job_id)
    service.request_cancel(job)
    return Status(202, _json(request, job))


@router.post("/{job_id}/retry", response={201: JobOut}, summary="Run a job again")
def retry_job(
    request: ApiRequest, job_id: UUID, response: HttpResponse
) -> Status[dict[str, Any]]:
    """Create a new job with the same input; `source_job` names this one.

    Takes `Idempotency-Key`, too.
    """
    require(request, "jobs:write")

    def retry() -> dict[str, Any]:
        job = service.run_again(_job(request, job_id), owner=request.auth.owner)
        return _json(request, job)

    return once(request, response, retry)


@router.post("/{job_id}/keep", response=JobOut, summary="Keep a job")
def keep_job(request: ApiRequest, job_id: UUID, body: KeepIn) -> dict[str, Any]:
    """Keep a job whatever its age (`kept`: true), or no longer."""
    require(request, "jobs:write")
    job = _job(request, job_id)
    retention.keep(job, is_kept=body.kept)
    return _json(request, job)


@router.delete("/{job_id}", response={204: None}, summary="Delete a job")
def delete_job(request: ApiRequest, job_id: UUID) -> Status[None]:
    """Delete an ended job and its files; an input file stays while others need it."""
    require(request, "jobs:write")
    retention.delete_now(_job(request, job_id))
    return Status(204, None)


@router.get("/{job_id}/outputs/{name}", summary="Fetch an output")
def read_output(request: ApiRequest, job_id: UUID, name: str) -> HttpResponse:
    """Redirect to a fresh link to the file."""
    require(request, "jobs:read")
    job = _job(request, job_id)
    artifact = next((a for a in artifacts.of_job(job) if a.name == name), None)
    if artifact is None:
        raise NotFound("This job has no such output.")
    return HttpResponseRedirect(downloads.artifact_url(artifact))


def _job(request: ApiRequest, job_id: UUID) -> Job:
    found = Job.objects.visible_to(request.auth.owner).select_related(*RELATED)
    job = found.filter(pk=job_id).first()
    if job is None:
        raise NotFound("There is no such job, or it is not yours.")
    return job


def _json(request: ApiRequest, job: Job) -> dict[str, Any]:
    return job_json(request, job, service.queue_position(job))


def job_json(
    request: ApiRequest, job: Job, position: int | None = None
) -> dict[str, Any]:
    """Return a job as the API shows it, at its `position` in the queue."""

    def url(name: str, **kwargs: Any) -> str:
        return request.build_absolute_uri(reverse(name, kwargs=kwargs))

    return {
        "id": str(job.pk),
        "endpoint": job.endpoint.slug,
        "status": job.status,
        "reason": job.reason,
        "explanation": explain.why_cancelled(job),
        "cancel_requested": job.cancel_requested_at is not None,
        "may_have_run_twice": job.has_maybe_run_twice,
        "progress": job.progress,
        "queue": {"position": position},
        "input": job.input,
        "output": job.output if job.status == JobStatus.COMPLETED else None,
        "outputs": [_output_json(request, job, a) for a in artifacts.of_job(job)],
        "error": _error_json(job),
        "attempts": [_attempt_json(attempt) for attempt in job.attempts.all()],
        "metrics": _metrics(job),
        "metadata": job.metadata,
        "source_job": str(job.source_job_id) if job.source_job_id else None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "kept": job.is_kept,
        "retention_until": retention.until(job),
        "urls": {
            "self": url("api:read_job", job_id=job.pk),
            "cancel": url("api:cancel_job", job_id=job.pk),
            "retry": url("api:retry_job", job_id=job.pk),
            "web": url("job", job_id=job.pk),
        },
    }


def _output_json(request: ApiRequest, job: Job, artifact: Artifact) -> dict[str, Any]:
    path = reverse("api:read_output", kwargs={"job_id": job.pk, "name": artifact.name})
    return {
        "name": artifact.name,
        "content_type": artifact.content_type,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "url": request.build_absolute_uri(path),
    }


def _error_json(job: Job) -> dict[str, Any] | None:
    if not job.error_code:
        return None
    return {
        "code": job.error_code,
        "message": job.error_message,
        "retryable": job.is_error_retryable,
    }


def _attempt_json(attempt: Any) -> dict[str, Any]:
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
