"""Handing a job to its backend, at most once for each attempt.

The attempt is committed before the request leaves. Whatever crashes, the row says that
the job may have been sent. `prepare` writes the attempt; the loop sends what `prepare`
returns; `heard` records the outcome.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.timezone import now

from jobs.lib import links
from jobs.lib.failpoints import failpoint
from jobs.models import Attempt, Endpoint, Job, Upload
from jobs.runpod import RUN_MAX_BYTES, RemoteJob
from jobs.runpod.answers import run_body
from jobs.runpod.errors import (
    Busy,
    EndpointNotFound,
    JobNotFound,
    NoAnswer,
    NotSent,
    Refused,
    RunPodError,
)
from jobs.services.files import references
from jobs.services.lifecycle import inputs
from jobs.services.operations import alerts, endpoints
from jobs.states import Actor, JobStatus, Reason
from jobs.storage import StoreError

logger = logging.getLogger(__name__)
NOT_SENT_PAUSE_SECONDS = 3.0
BUSY_PAUSE_SECONDS = 5.0
NOT_FOUND_PAUSE_SECONDS = 7.0
REFUSED_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Sending:
    """A POST /run that is recorded and may be sent now."""

    job: Job
    attempt: Attempt
    input: dict[str, Any]
    policy: dict[str, int]
    webhook: str


def prepare(job: Job) -> Sending | None:
    """Claim a held job whose turn has come; return what to send, if anything."""
    if job.cancel_requested_at:
        job.advance(JobStatus.CANCELLED, by=Actor.USER, reason=Reason.USER)
        return None
    uploads = Upload.objects.filter(pk__in=references.uploads_of(job.input))
    if any(upload.status == Upload.Status.VERIFYING for upload in uploads):
        job.look_again_in(0.5)
        return None
    attempt = _claim(job)
    if attempt is None:
        return None
    failpoint("submit.claimed", job.metadata.get("mark"))
    try:
        input = inputs.for_backend(job, attempt)
    except StoreError as error:
        logger.warning("job=%s waits for its files: %s", job.pk, error)
        _try_later(job, attempt, REFUSED_PAUSE_SECONDS)
        return None
    sending = Sending(
        job=job,
        attempt=attempt,
        input=input,
        policy=policy_of(job.endpoint),
        webhook=doorbell_url(job, attempt),
    )
    problem = _problem(sending, uploads)
    if problem:
        _refuse(job, attempt, *problem)
        return None
    failpoint("submit.before_post", job.metadata.get("mark"))
    return sending


def _claim(job: Job) -> Attempt | None:
    """Claim the job and open its next attempt."""
    number = job.attempt_no + 1
    with transaction.atomic():
        moved = job.advance(
            JobStatus.SUBMITTING,
            by=Actor.SUBMITTER,
            attempt_no=number,
            unfinished_steps=F("unfinished_steps") + 1,
        )
        here = Job.objects.filter(pk=job.pk, endpoint=job.endpoint_id)
        if not moved or not here.exists():
            # Another process claimed it, or an operator moved it to another endpoint.
            transaction.set_rollback(True)
            return None
        return job.attempts.create(number=number)


def _problem(sending: Sending, uploads: Any) -> tuple[str, str] | None:
    """Return (code, message) if this job can never be sent."""
    job = sending.job
    by_pk = {upload.pk: upload for upload in uploads}
    for pk in references.uploads_of(job.input):
        upload = by_pk.get(pk)
        if upload is None or upload.status != Upload.Status.READY:
            text = inputs.upload_problem(upload, [])
            return "input_unavailable", text or "An input file was deleted."
    if not job.endpoint.client_key:
        name = "_".join(filter(None, ["RUNPOD_API_KEY", job.endpoint.key_name]))
        return "no_runpod_key", f"The operator has not set {name} for this endpoint."
    body = run_body(sending.input, sending.policy, sending.webhook)
    if len(body.encode()) > RUN_MAX_BYTES:
        return "too_large", "The input is larger than RunPod's limit of 10 MiB."
    return None


def heard(sending: Sending, outcome: RemoteJob | RunPodError) -> None:
    """Record the outcome of a POST /run."""
    job, attempt = sending.job, sending.attempt
    failpoint("submit.after_post", job.metadata.get("mark"))
    match outcome:
        case RemoteJob():
            _accepted(job, attempt, outcome)
        case Busy() | NotSent():
            _try_later(job, attempt, _pause(outcome))
        case EndpointNotFound() | JobNotFound():
            _endpoint_not_found(job, attempt)
        case Refused() if outcome.status in alerts.OF_STATUS:
            alerts.raise_alert(job.endpoint, alerts.OF_STATUS[outcome.status])
            _try_later(job, attempt, REFUSED_PAUSE_SECONDS)
        case Refused():
            _refuse(job, attempt, "refused", str(outcome))
        case NoAnswer():
            Attempt.objects.filter(pk=attempt.pk).update(raw_error=str(outcome))
            job.advance(JobStatus.UNCONFIRMED, by=Actor.SUBMITTER)
    failpoint("submit.recorded", job.metadata.get("mark"))


def _accepted(job: Job, attempt: Attempt, remote: RemoteJob) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(
        runpod_id=remote.id[:128], raw_status=remote.status[:40]
    )
    job.advance(
        JobStatus.IN_QUEUE,
        by=Actor.SUBMITTER,
        not_found_count=0,
        not_found_since=None,
    )


def _endpoint_not_found(job: Job, attempt: Attempt) -> None:
    """Wait until the 404 is certain; then this job is cancelled like the others."""
    endpoints.mark_unreachable(job.endpoint)
    _try_later(job, attempt, NOT_FOUND_PAUSE_SECONDS)
    if endpoints.is_gone(job.endpoint):
        reason = Reason.ENDPOINT_NOT_FOUND
        job.advance(JobStatus.CANCELLED, by=Actor.SYNC, reason=reason)


def _pause(error: Busy | NotSent) -> float:
    """Return how many seconds to wait before trying again."""
    if isinstance(error, NotSent):
        return NOT_SENT_PAUSE_SECONDS
    return error.retry_after or BUSY_PAUSE_SECONDS


def policy_of(endpoint: Endpoint) -> dict[str, int]:
    """Return RunPod's policy, in milliseconds."""
    return {
        "executionTimeout": endpoint.execution_timeout_seconds * 1000,
        "ttl": endpoints.ttl_seconds(endpoint) * 1000,
    }


def doorbell_url(job: Job, attempt: Attempt) -> str:
    """Return the webhook for RunPod: it only makes us poll the job."""
    is_local = job.endpoint.kind == Endpoint.Kind.LOCAL
    base = settings.INTERNAL_URL if is_local else settings.PUBLIC_URL
    lives = timedelta(milliseconds=policy_of(job.endpoint)["ttl"])
    return (
        f"{base}/hooks/runpod/{links.sign(links.DOORBELL, attempt.pk.hex, lives=lives)}"
    )


def _try_later(job: Job, attempt: Attempt, seconds: float) -> None:
    """Hold the job again: RunPod accepted nothing, so the attempt is deleted."""
    due_at = now() + timedelta(seconds=seconds)
    if job.advance(JobStatus.PENDING, by=Actor.SUBMITTER, due_at=due_at):
        attempt.delete()


def _refuse(job: Job, attempt: Attempt, code: str, message: str) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(
        ended_at=now(), raw_error=message[:2000]
    )
    job.advance(
        JobStatus.FAILED,
        by=Actor.SUBMITTER,
        error_code=code,
        error_message=message[:2000],
    )
