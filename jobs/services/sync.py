"""Bringing a job in line with its backend's word, or with its worker's manifest.

Late or repeated news changes nothing: everything goes through `Job.advance`, and only
the current attempt of a job that has not ended is listened to.
"""

import json
from datetime import timedelta
from typing import Any

from django.utils.timezone import now

from jobs import clean_json, conf
from jobs.models import Attempt, Job
from jobs.runpod import EndpointClient, RemoteJob
from jobs.runpod.errors import EndpointNotFound, JobNotFound, RunPodError
from jobs.services import artifacts, endpoints
from jobs.states import ENDS, REMOTE, REMOTE_WORDS, Actor, JobStatus, Reason

S = JobStatus
ERROR_MAX = 4000
# Errors of the platform, not of the job: another attempt may well succeed.
_LOST = ("job timed out after", "worker lost")


def current_attempt(job: Job) -> Attempt | None:
    """Return the attempt the job is at."""
    return job.attempts.filter(number=job.attempt_no).first()


def sync(job: Job, client: EndpointClient) -> None:
    """Ask the backend once and apply its answer. A manifest of ours comes first."""
    attempt = current_attempt(job)
    if attempt is None or apply_manifest(job, attempt):
        return
    if not attempt.runpod_id:
        return
    try:
        remote = client.status(attempt.runpod_id)
    except JobNotFound:
        _not_found(job, attempt, Reason.NOT_FOUND)
    except EndpointNotFound:
        endpoints.mark_unreachable(job.endpoint, is_unreachable=True)
        _not_found(job, attempt, Reason.ENDPOINT_NOT_FOUND)
    except RunPodError:
        return  # unknown for now: never an end
    else:
        apply(job, attempt, remote)


def apply(job: Job, attempt: Attempt, remote: RemoteJob) -> None:
    """Apply the backend's word."""
    _record(attempt, remote)
    if job.status not in REMOTE:
        return
    if job.not_found_count:
        Job.objects.filter(pk=job.pk).update(not_found_count=0, not_found_since=None)
    # RunPod may say something new; whatever it is, the job has not ended.
    word = REMOTE_WORDS.get(remote.status, S.IN_PROGRESS)
    if word not in ENDS:
        if job.status != word:
            move_on(job, word)
        return
    _end(job, attempt, remote, word)


def _end(job: Job, attempt: Attempt, remote: RemoteJob, word: JobStatus) -> None:
    match word:
        case S.COMPLETED:
            output = clean_json.mended(remote.output)
            if job.advance(S.FINALIZING, by=Actor.SYNC, output=output):
                artifacts.collect(job)
        case S.FAILED:
            fail(job, attempt, *_error_of(remote))
        case S.CANCELLED:
            asked = job.cancel_requested_at is not None
            job.advance(S.CANCELLED, by=Actor.SYNC, reason=Reason.USER if asked else "")
        case _:
            _time_out(job, Actor.SYNC)


def apply_manifest(job: Job, attempt: Attempt) -> bool:
    """Finish the job from its worker's manifest, if there is one."""
    if attempt.manifest is None or job.status not in REMOTE:
        return False
    error = attempt.manifest.get("error")
    if error:
        fail(job, attempt, error["code"], error["message"], error["retryable"])
    elif job.advance(S.FINALIZING, by=Actor.SYNC):
        artifacts.collect(job)
    return True


def move_on(job: Job, to: JobStatus) -> bool:
    """Move between queue and worker, remembering when the work began."""
    changes = {}
    if to == S.IN_PROGRESS and job.started_at is None:
        changes["started_at"] = now()
    return job.advance(to, by=Actor.SYNC, **changes)


def fail(job: Job, attempt: Attempt, code: str, message: str, retryable: bool) -> None:  # noqa: FBT001 - a field of the worker's error, in the manifest's order
    """End the job as FAILED, or let another attempt try."""
    if job.cancel_requested_at and (code == "cancelled" or retryable):
        # The work has stopped, which is what was asked for.
        job.advance(S.CANCELLED, by=Actor.SYNC, reason=Reason.USER)
        return
    Attempt.objects.filter(pk=attempt.pk, ended_at=None).update(ended_at=now())
    tries = job.attempts.count()
    if retryable and tries < job.endpoint.max_attempts:
        due_at = now() + timedelta(seconds=min(60, 2**tries))
        job.advance(
            S.PENDING, by=Actor.SYNC, due_at=due_at, progress={}, progress_seq=0
        )
        return
    job.advance(
        S.FAILED,
        by=Actor.SYNC,
        error_code=code[:60],
        error_message=message[:ERROR_MAX],
        is_error_retryable=retryable,
    )


def time_out_if_overdue(job: Job) -> None:
    """End a job of which the backend says nothing past every deadline."""
    attempt = current_attempt(job)
    limit = timedelta(
        seconds=conf.QUEUE_SECONDS
        + job.endpoint.execution_timeout_seconds
        + conf.READING_MARGIN_SECONDS
    )
    if attempt and attempt.created_at + limit < now() and job.status != S.UNCONFIRMED:
        _time_out(job, Actor.SWEEPER)


def _record(attempt: Attempt, remote: RemoteJob) -> None:
    changes: dict[str, Any] = {"raw_status": remote.status[:40]}
    if remote.worker_id:
        changes["worker_id"] = remote.worker_id[:128]
    if remote.has_output:
        changes["has_output"] = True
    if remote.error is not None:
        changes["raw_error"] = _text(remote.error)[:ERROR_MAX]
    changes["delay_ms"] = remote.delay_ms
    changes["execution_ms"] = remote.execution_ms
    Attempt.objects.filter(pk=attempt.pk).update(**changes)
    for name, value in changes.items():
        setattr(attempt, name, value)


def _error_of(remote: RemoteJob) -> tuple[str, str, bool]:
    """Return (code, message, retryable) of a FAILED job, without its traceback.

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
    return "worker_error", text.split("\ntraceback:")[0].strip(), False


def _text(error: Any) -> str:
    value = clean_json.mended(error)
    return value if isinstance(value, str) else json.dumps(value) if value else ""


def _not_found(job: Job, attempt: Attempt, reason: Reason) -> None:
    """Believe a 404 after our own purge at once, else after three in twenty seconds."""
    purged_at = job.endpoint.purged_at
    if job.status == S.IN_QUEUE and purged_at and attempt.created_at <= purged_at:
        job.advance(S.CANCELLED, by=Actor.SYNC, reason=Reason.PURGED)
        return
    since, count = job.not_found_since or now(), job.not_found_count + 1
    Job.objects.filter(pk=job.pk).update(not_found_count=count, not_found_since=since)
    sure = since + timedelta(seconds=conf.NOT_FOUND_SECONDS) <= now()
    if count < conf.NOT_FOUND_ANSWERS or not sure:
        return
    if job.cancel_requested_at:
        reason = Reason.USER
    job.advance(S.CANCELLED, by=Actor.SYNC, reason=reason)


def _time_out(job: Job, by: Actor) -> None:
    seconds = job.endpoint.execution_timeout_seconds
    job.advance(
        S.TIMED_OUT,
        by=by,
        error_code="timed_out",
        error_message=f"The job did not end within its limit of {seconds} s.",
        is_error_retryable=True,
    )
