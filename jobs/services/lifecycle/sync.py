"""Update a job from its backend's answer, or from its worker's manifest.

Late or repeated news changes nothing: every change goes through `Job.advance`. RunPod's
answers count for the current attempt only; a result counts from any attempt.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F
from django.utils.timezone import now

from jobs.lib import clean_json
from jobs.lib.failpoints import failpoint
from jobs.lib.redaction import redacted
from jobs.models import Attempt, Batch, Endpoint, Job
from jobs.runpod import RemoteJob
from jobs.runpod.errors import EndpointNotFound, JobNotFound, Refused, RunPodError
from jobs.services.lifecycle import completion, not_found, plain_progress
from jobs.services.operations import alerts, endpoints
from jobs.states import (
    AWAITING_RESULT,
    ENDS,
    REMOTE,
    REMOTE_WORDS,
    Actor,
    JobStatus,
    Reason,
)

ERROR_MAX = 4000
# Every attempt ends like this until somebody changes the input or a limit.
CERTAIN = ("invalid_input", "input_unavailable", "too_large")
OVERDUE_AT_ONCE = 500
# Errors of the platform, not of the job: another attempt may succeed.
_LOST = ("job timed out after", "worker lost")


def heard(job: Job, attempt: Attempt, outcome: RemoteJob | RunPodError) -> None:
    """Apply the outcome of a GET /status. A manifest in our storage comes first."""
    failpoint("sync.heard", job.metadata.get("mark"))
    if apply_manifest(job):
        return
    match outcome:
        case RemoteJob():
            apply(job, attempt, outcome)
        case JobNotFound():
            not_found.note(job, attempt, Reason.NOT_FOUND)
        case EndpointNotFound():
            endpoints.mark_unreachable(job.endpoint)
            not_found.note(job, attempt, Reason.ENDPOINT_NOT_FOUND)
        case Refused() if outcome.status in alerts.OF_STATUS:
            alerts.raise_alert(job.endpoint, alerts.OF_STATUS[outcome.status])
        case _:
            pass  # unknown for now: never ends the job


def apply(job: Job, attempt: Attempt, remote: RemoteJob) -> None:
    """Apply the backend's answer."""
    _record(attempt, remote)
    if job.status not in REMOTE:
        return
    if job.not_found_count:
        not_found.forget(job)
    # An unknown status is no end, whatever it means.
    word = REMOTE_WORDS.get(remote.status, JobStatus.IN_PROGRESS)
    if word in ENDS:
        _end(job, attempt, remote, word)
        return
    if job.status != word:
        move_on(job, word)
    if word == JobStatus.IN_PROGRESS and remote.has_output:
        _show_progress(job, remote.output)


def _show_progress(job: Job, output: Any) -> None:
    """Show what a running handler posted, unless our own handler reports progress."""
    if job.endpoint.contract == Endpoint.Contract.SLIPWAY:
        return
    progress = plain_progress.newer(job.progress, output)
    if progress:
        Job.objects.filter(pk=job.pk, status=JobStatus.IN_PROGRESS).update(
            progress=progress, progress_seq=progress["seq"], revision=F("revision") + 1
        )


def _end(job: Job, attempt: Attempt, remote: RemoteJob, word: JobStatus) -> None:
    started_at = _started_at(job, attempt, remote)
    match word:
        case JobStatus.COMPLETED:
            output = clean_json.mended(remote.output)
            changes = {"output": output, "started_at": started_at}
            if job.advance(JobStatus.FINALIZING, by=Actor.SYNC, **changes):
                failpoint("sync.finalizing", job.metadata.get("mark"))
                completion.collect(job, attempt)
        case JobStatus.FAILED:
            fail(job, attempt, *_error_of(remote))
        case JobStatus.CANCELLED:
            job.advance(
                JobStatus.CANCELLED, by=Actor.SYNC, reason=_who_cancelled(job, attempt)
            )
        case _:
            _time_out(job, Actor.SYNC)


def _started_at(job: Job, attempt: Attempt, remote: RemoteJob) -> datetime | None:
    """Return when the work began; RunPod says so for a job never seen running."""
    if job.started_at or remote.delay_ms is None:
        return job.started_at
    return min(now(), attempt.created_at + timedelta(milliseconds=remote.delay_ms))


def _who_cancelled(job: Job, attempt: Attempt) -> str:
    if job.cancel_requested_at:
        return Reason.USER
    if not_found.was_purged(job, attempt) and job.started_at is None:
        return Reason.PURGED
    return ""


def apply_manifest(job: Job) -> bool:
    """Finish the job from a worker's manifest, if it has one.

    The first result wins, even from an earlier attempt that was given up as lost.
    RunPod is then told to stop the other attempts.
    """
    if (
        job.status not in AWAITING_RESULT
        or job.endpoint.contract == Endpoint.Contract.PLAIN
    ):
        return False
    delivered = job.attempts.filter(manifest__isnull=False).order_by("number")
    for attempt in delivered:
        error = (attempt.manifest or {}).get("error")
        if not error:
            return _win(job, attempt)
        if attempt.number == job.attempt_no and job.status in REMOTE:
            fail(job, attempt, error["code"], error["message"], error["retryable"])
            return True
    return False


def _win(job: Job, attempt: Attempt) -> bool:
    if not job.advance(JobStatus.FINALIZING, by=Actor.SYNC, attempt_no=attempt.number):
        return False
    losers = job.attempts.exclude(pk=attempt.pk).filter(ended_at=None)
    losers.exclude(runpod_id="").update(is_unwanted=True)
    failpoint("sync.finalizing", job.metadata.get("mark"))
    completion.collect(job, attempt)
    return True


def move_on(job: Job, to: JobStatus) -> bool:
    """Move the job between queue and worker; record when the work began."""
    changes = {}
    if to == JobStatus.IN_PROGRESS and job.started_at is None:
        changes["started_at"] = now()
    return job.advance(to, by=Actor.SYNC, **changes)


def fail(job: Job, attempt: Attempt, code: str, message: str, retryable: bool) -> None:  # noqa: FBT001 - a field of the worker's error, in the manifest's order
    """End the job as FAILED, or allow another attempt."""
    if job.cancel_requested_at and (code == "cancelled" or retryable):
        # The work has stopped, as requested.
        job.advance(JobStatus.CANCELLED, by=Actor.SYNC, reason=Reason.USER)
        return
    Attempt.objects.filter(pk=attempt.pk, ended_at=None).update(ended_at=now())
    tries = job.attempts.count()
    if tries < _max_attempts(job, code, retryable=retryable):
        due_at = now() + timedelta(seconds=min(60, 2**tries))
        job.advance(
            JobStatus.PENDING, by=Actor.SYNC, due_at=due_at, progress={}, progress_seq=0
        )
        return
    job.advance(
        JobStatus.FAILED,
        by=Actor.SYNC,
        error_code=code[:60],
        error_message=message[:ERROR_MAX],
        is_error_retryable=retryable,
    )


def _max_attempts(job: Job, code: str, *, retryable: bool) -> int:
    """Return how many attempts a job that failed like this may have.

    A batch with its own limit retries every error, except one that is certain to occur
    again. Its completion job is not retried that way: it may have done half of its
    work.
    """
    if job.batch_id and job.batch_index is not None:
        limits = Batch.objects.filter(pk=job.batch_id).values_list("max_attempts")
        own = limits[0][0]
        if own is not None:
            return 0 if code in CERTAIN else own
    return job.endpoint.max_attempts if retryable else 0


def time_out_overdue(endpoint: Endpoint) -> None:
    """End jobs past every deadline for which the backend has reported no end.

    This ensures that every accepted job ends, whatever the backend answers.
    """
    lived = now() - timedelta(seconds=endpoints.ttl_seconds(endpoint))
    overdue = Attempt.objects.filter(
        job__endpoint=endpoint,
        job__status__in=REMOTE,
        number=F("job__attempt_no"),
        created_at__lt=lived,
    )
    for attempt in overdue.select_related("job__endpoint")[:OVERDUE_AT_ONCE]:
        if not apply_manifest(attempt.job):
            _time_out(attempt.job, Actor.SWEEPER)


def _record(attempt: Attempt, remote: RemoteJob) -> None:
    changes: dict[str, Any] = {"raw_status": remote.status[:40]}
    if remote.worker_id:
        changes["worker_id"] = remote.worker_id[:128]
    if remote.has_output:
        changes["has_output"] = True
    if remote.error is not None:
        changes["raw_error"] = redacted(_text(remote.error))[:ERROR_MAX]
    if REMOTE_WORDS.get(remote.status) in ENDS and attempt.ended_at is None:
        changes["ended_at"] = now()
    changes["delay_ms"] = remote.delay_ms
    changes["execution_ms"] = remote.execution_ms
    Attempt.objects.filter(pk=attempt.pk).update(**changes)
    for name, value in changes.items():
        setattr(attempt, name, value)


def _error_of(remote: RemoteJob) -> tuple[str, str, bool]:
    """Return (code, message, retryable) of a FAILED job, without traceback and secrets.

    A handler that raises sends a JSON text with error_type, error_message and
    error_traceback inside `error` (runpod-python rp_job.py).
    """
    text = _text(remote.error) or "The worker failed without saying why."
    if any(words in text for words in _LOST):
        return "worker_lost", "The worker was lost while it had this job.", True
    try:
        detail = json.loads(text)
    except ValueError:
        detail = None
    if isinstance(detail, dict) and "error_message" in detail:
        text = str(detail["error_message"])
    return "worker_error", redacted(text.split("\ntraceback:")[0].strip()), False


def _text(error: Any) -> str:
    value = clean_json.mended(error)
    return value if isinstance(value, str) else json.dumps(value) if value else ""


def _time_out(job: Job, by: Actor) -> None:
    seconds = job.endpoint.execution_timeout_seconds
    job.advance(
        JobStatus.TIMED_OUT,
        by=by,
        error_code="timed_out",
        error_message=f"The job did not end within its limit of {seconds} s.",
        is_error_retryable=True,
    )
