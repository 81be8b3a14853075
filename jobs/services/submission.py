"""Handing a job to its backend, at most once for each attempt.

The attempt is written and committed before the request leaves, so whatever dies, the
row says that something may have been sent.
"""

import json
import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.timezone import now

from jobs import conf, links
from jobs.models import Attempt, Endpoint, Job, Upload
from jobs.runpod import RUN_MAX_BYTES, EndpointClient, RemoteJob
from jobs.runpod.errors import (
    Busy,
    EndpointNotFound,
    JobNotFound,
    NoAnswer,
    NotSent,
    Refused,
)
from jobs.services import endpoints, inputs
from jobs.states import Actor, JobStatus

logger = logging.getLogger(__name__)
NOT_SENT_PAUSE_SECONDS = 3.0
BUSY_PAUSE_SECONDS = 5.0
MAX_PAUSE_SECONDS = 600.0


def submit(job: Job, client: EndpointClient) -> None:
    """Send a held job, unless its files are not ready or its time is over."""
    if job.created_at + timedelta(seconds=conf.QUEUE_SECONDS) < now():
        job.advance(JobStatus.TIMED_OUT, by=Actor.SWEEPER, error_code="queue_timeout")
        return
    uploads = Upload.objects.filter(pk__in=inputs.uploads_of(job.input))
    if any(upload.status == Upload.Status.VERIFYING for upload in uploads):
        job.look_again_in(0.5)
        return
    attempt = _claim(job)
    if attempt is None:
        return
    problem = _problem(job, attempt, uploads)
    if problem:
        _refuse(job, attempt, *problem)
        return
    _send(job, attempt, client)


def _claim(job: Job) -> Attempt | None:
    """Take the job for ourselves and open its next attempt."""
    number = job.attempt_no + 1
    with transaction.atomic():
        if not job.advance(JobStatus.SUBMITTING, by=Actor.SUBMITTER, attempt_no=number):
            return None
        return job.attempts.create(number=number)


def _problem(job: Job, attempt: Attempt, uploads: Any) -> tuple[str, str] | None:
    """Return (code, message) when this job can never be sent as it is."""
    found = {upload.pk: upload for upload in uploads}
    for pk in inputs.uploads_of(job.input):
        upload = found.get(pk)
        if upload is None or upload.status != Upload.Status.READY:
            text = inputs.upload_problem(upload, [])
            return "input_unavailable", text or "An input file is gone."
    if not job.endpoint.client_key:
        name = "_".join(filter(None, ["RUNPOD_API_KEY", job.endpoint.key_name]))
        return "no_runpod_key", f"The operator has not set {name} for this endpoint."
    if len(json.dumps(inputs.for_backend(job, attempt))) > RUN_MAX_BYTES:
        return "too_large", "The input is over RunPod's limit of 10 MiB."
    return None


def _send(job: Job, attempt: Attempt, client: EndpointClient) -> None:
    """POST /run and record what came of it."""
    input, policy = inputs.for_backend(job, attempt), policy_of(job.endpoint)
    try:
        remote = client.run(input, policy=policy, webhook=doorbell_url(job, attempt))
    except (Busy, NotSent) as error:
        _try_later(job, attempt, _pause(error))
    except (EndpointNotFound, JobNotFound):
        endpoints.mark_unreachable(job.endpoint, is_unreachable=True)
        text = "RunPod does not know this endpoint. Ask the operator to recreate it."
        _refuse(job, attempt, "endpoint_not_found", text)
    except Refused as refused:
        _refuse(job, attempt, "refused", str(refused))
    except NoAnswer as error:
        Attempt.objects.filter(pk=attempt.pk).update(raw_error=str(error))
        job.advance(JobStatus.UNCONFIRMED, by=Actor.SUBMITTER)
    else:
        _accepted(job, attempt, remote)


def _accepted(job: Job, attempt: Attempt, remote: RemoteJob) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(
        runpod_id=remote.id, raw_status=remote.status
    )
    if job.advance(JobStatus.IN_QUEUE, by=Actor.SUBMITTER):
        endpoints.mark_unreachable(job.endpoint, is_unreachable=False)


def _pause(error: Busy | NotSent) -> float:
    """Return after how many seconds to try again."""
    if isinstance(error, NotSent):
        return NOT_SENT_PAUSE_SECONDS
    return min(error.retry_after or BUSY_PAUSE_SECONDS, MAX_PAUSE_SECONDS)


def policy_of(endpoint: Endpoint) -> dict[str, int]:
    """Return RunPod's policy in milliseconds.

    `ttl` counts from submission and deletes even a running job, so it covers the
    longest queue, the execution and the time we need to read the result.
    """
    execution = endpoint.execution_timeout_seconds
    ttl = conf.QUEUE_SECONDS + execution + conf.READING_MARGIN_SECONDS
    return {"executionTimeout": execution * 1000, "ttl": ttl * 1000}


def doorbell_url(job: Job, attempt: Attempt) -> str:
    """Return the webhook for RunPod: it only makes us look at the job."""
    is_local = job.endpoint.kind == Endpoint.Kind.LOCAL
    base = settings.INTERNAL_URL if is_local else settings.PUBLIC_URL
    lives = timedelta(milliseconds=policy_of(job.endpoint)["ttl"])
    return (
        f"{base}/hooks/runpod/{links.sign(links.DOORBELL, attempt.pk.hex, lives=lives)}"
    )


def _try_later(job: Job, attempt: Attempt, seconds: float) -> None:
    """Nothing was accepted: the attempt never happened."""
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
