"""Checking what a worker says it made, before a job may be called completed."""

from datetime import timedelta
from typing import Any

from django.utils.timezone import now

from jobs.models import Artifact, Attempt, Endpoint, Job
from jobs.states import Actor, JobStatus
from jobs.storage import store

MANIFEST_WAIT_SECONDS = 60


def collect(job: Job) -> None:
    """End a FINALIZING job: COMPLETED if its files are there and match, else FAILED."""
    attempt = job.attempts.get(number=job.attempt_no)
    if job.endpoint.contract == Endpoint.Contract.PLAIN:
        _collect_plain(job, attempt)
    elif attempt.manifest is not None:
        _collect_manifest(job, attempt)
    elif job.moved_at + timedelta(seconds=MANIFEST_WAIT_SECONDS) < now():
        _fail(job, "result_missing", "The worker ended without delivering a result.")
    else:
        job.look_again_in(1)


def of_job(job: Job) -> list[Artifact]:
    """Return the artifacts of a completed job, in the order of its manifest."""
    if job.status != JobStatus.COMPLETED:
        return []
    # `.all()` throughout, so that a list may prefetch attempts and artifacts.
    for attempt in job.attempts.all():
        if attempt.number == job.attempt_no and attempt.manifest:
            named = {artifact.name: artifact for artifact in attempt.artifacts.all()}
            return [named[file["name"]] for file in attempt.manifest["files"]]
    return []


def _collect_plain(job: Job, attempt: Attempt) -> None:
    if attempt.has_output:
        _complete(job, attempt, job.output)
    else:
        _fail(job, "result_missing", "RunPod says COMPLETED but has no output.")


def _collect_manifest(job: Job, attempt: Attempt) -> None:
    manifest: dict[str, Any] = attempt.manifest or {}
    stored = {artifact.name: artifact for artifact in attempt.artifacts.all()}
    for file in manifest["files"]:
        problem = _mismatch(file, stored.get(file["name"]))
        if problem:
            _fail(job, "bad_manifest", problem)
            return
    _complete(job, attempt, manifest.get("output"))


def _mismatch(file: dict[str, Any], artifact: Artifact | None) -> str:
    name = file["name"]
    if artifact is None:
        return f"The worker names {name}, which it never delivered."
    if (artifact.size, artifact.sha256) != (file["size"], file["sha256"]):
        return f"{name} is not the file the worker describes."
    if store().size(artifact.key) != artifact.size:
        return f"{name} is damaged in our storage."
    return ""


def _complete(job: Job, attempt: Attempt, output: Any) -> None:
    Attempt.objects.filter(pk=attempt.pk, ended_at=None).update(ended_at=now())
    job.advance(JobStatus.COMPLETED, by=Actor.COLLECTOR, output=output)


def _fail(job: Job, code: str, message: str) -> None:
    job.advance(
        JobStatus.FAILED,
        by=Actor.COLLECTOR,
        error_code=code,
        error_message=message,
        is_error_retryable=True,
    )
