"""Verify what a worker says it produced before the job is marked completed."""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

from django.utils.timezone import now

from jobs.lib import conf, nudge
from jobs.lib.failpoints import failpoint
from jobs.models import Artifact, Attempt, Endpoint, HeldLease, Job, Lease
from jobs.services.files import artifacts, saving
from jobs.services.operations import alerts
from jobs.states import Actor, JobStatus
from jobs.storage import LOCAL, S3, StoreError, local

logger = logging.getLogger(__name__)
MANIFEST_WAIT_SECONDS = 60
STORE_PAUSE_SECONDS = 60


def collect(job: Job, attempt: Attempt | None = None) -> None:
    """End a FINALIZING job: COMPLETED if its files exist and match, else FAILED.

    Callers that have the current attempt pass it as `attempt`. If files must be fetched
    first, a task is nudged to do that and this function does not wait.
    """
    attempt = attempt or job.attempts.get(number=job.attempt_no)
    failpoint("collect.begin", job.metadata.get("mark"))
    if attempt.manifest is not None:
        _collect_manifest(job, attempt)
    elif job.endpoint.contract == Endpoint.Contract.PLAIN:
        _collect_plain(job, attempt)
    elif job.moved_at + timedelta(seconds=MANIFEST_WAIT_SECONDS) < now():
        _fail(job, "result_missing", "The worker ended without delivering a result.")
    else:
        job.look_again_in(1)


def fetch(job: Job) -> None:
    """Save or check files, which may take minutes, then end the job.

    Meanwhile the lease keeps the loop from requesting it again.
    """
    again = partial(job.look_again_in, conf.STEP_LEASE_SECONDS)
    with Lease.held(f"collect-{job.pk.hex}", on_renewal=again) as lease:
        if job.status == JobStatus.FINALIZING and lease:
            _fetch(job, lease)


def _fetch(job: Job, lease: HeldLease) -> None:
    attempt = job.attempts.get(number=job.attempt_no)
    try:
        if attempt.manifest is not None:
            _settle_in_bucket(job, attempt, lease)
        else:
            output, notes = saving.save(job, attempt, lease)
            Attempt.objects.filter(pk=attempt.pk).update(notes=notes)
            _complete(job, attempt, output)
    except StoreError as error:
        logger.warning("job=%s waits to save its result: %s", job.pk, error)
        alerts.raise_alert(job.endpoint, alerts.STORE)
        job.look_again_in(STORE_PAUSE_SECONDS)
    else:
        alerts.resolve(job.endpoint, alerts.STORE)


def _settle_in_bucket(job: Job, attempt: Attempt, lease: HeldLease) -> None:
    """Compare what a worker uploaded to the bucket with its manifest."""
    manifest: dict[str, Any] = attempt.manifest or {}
    stored = {artifact.name: artifact for artifact in attempt.artifacts.all()}
    for file in manifest["files"]:
        artifact = stored.get(file["name"])
        problem = _mismatch(file, artifact)
        if artifact and artifact.store == S3:
            problem = artifacts.settle(artifact, file, lease.keep)
        if problem:
            _fail(job, "bad_manifest", problem)
            return
    _complete(job, attempt, manifest.get("output"))


def of_job(job: Job) -> list[Artifact]:
    """Return the artifacts of a completed job, in the order of its manifest."""
    if job.status != JobStatus.COMPLETED:
        return []
    # Use `.all()` throughout, so that lists can prefetch attempts and artifacts.
    for attempt in job.attempts.all():
        if attempt.number != job.attempt_no:
            continue
        if attempt.manifest is None:
            return list(attempt.artifacts.all())
        named = {artifact.name: artifact for artifact in attempt.artifacts.all()}
        return [named[file["name"]] for file in attempt.manifest["files"]]
    return []


def _collect_plain(job: Job, attempt: Attempt) -> None:
    if not attempt.has_output:
        _fail(job, "result_missing", "RunPod says COMPLETED but has no output.")
    elif saving.files_of(job):
        job.look_again_in(conf.STEP_LEASE_SECONDS)
        nudge.collect(job.pk)
    else:
        _complete(job, attempt, job.output)


def _collect_manifest(job: Job, attempt: Attempt) -> None:
    manifest: dict[str, Any] = attempt.manifest or {}
    stored = {artifact.name: artifact for artifact in attempt.artifacts.all()}
    if any(artifact.store == S3 for artifact in stored.values()):
        job.look_again_in(conf.STEP_LEASE_SECONDS)
        nudge.collect(job.pk)
        return
    for file in manifest["files"]:
        problem = _mismatch(file, stored.get(file["name"]))
        if problem:
            _fail(job, "bad_manifest", problem)
            return
    _complete(job, attempt, manifest.get("output"))


def _mismatch(file: dict[str, Any], artifact: Artifact | None) -> str:
    name = file["name"]
    if artifact is None:
        return f"The manifest names {name}, but the worker never uploaded it."
    if (artifact.size, artifact.sha256) != (file["size"], file["sha256"]):
        return f"{name} does not match the worker's manifest."
    if artifact.store == LOCAL and local().size(artifact.key) != artifact.size:
        return f"{name} is damaged in our storage."
    return ""


def _complete(job: Job, attempt: Attempt, output: Any) -> None:
    failpoint("collect.before_end", job.metadata.get("mark"))
    if attempt.ended_at is None:
        Attempt.objects.filter(pk=attempt.pk, ended_at=None).update(ended_at=now())
    job.advance(JobStatus.COMPLETED, by=Actor.COLLECTOR, output=output)
    failpoint("collect.ended", job.metadata.get("mark"))


def _fail(job: Job, code: str, message: str) -> None:
    job.advance(
        JobStatus.FAILED,
        by=Actor.COLLECTOR,
        error_code=code,
        error_message=message,
        is_error_retryable=True,
    )
