"""The one loop: for each status, the one step a job needs now."""

from datetime import timedelta

from django.utils.timezone import now

from jobs import conf
from jobs.models import Endpoint, Job
from jobs.runpod import EndpointClient
from jobs.runpod.errors import RunPodError
from jobs.services import artifacts, submission, sync
from jobs.states import Actor, JobStatus, Reason

YOUNG_SECONDS = 120
YOUNG_PAUSE_SECONDS = 1.0
OLD_PAUSE_SECONDS = 5.0


def reconcile(job: Job, client: EndpointClient) -> None:
    """Take the step `job` needs now. Safe at any time, any number of times."""
    match job.status:
        case JobStatus.PENDING if job.cancel_requested_at:
            job.advance(JobStatus.CANCELLED, by=Actor.USER, reason=Reason.USER)
        case JobStatus.PENDING:
            submission.submit(job, client)
        case JobStatus.SUBMITTING:
            doubt_if_lost(job)
        case JobStatus.UNCONFIRMED:
            look_for_proof(job, client)
        case JobStatus.IN_QUEUE | JobStatus.IN_PROGRESS:
            follow(job, client)
        case JobStatus.FINALIZING:
            artifacts.collect(job)


def doubt_if_lost(job: Job) -> None:
    """A submitter that has been silent for two minutes has died."""
    lost_at = job.moved_at + timedelta(seconds=conf.SUBMITTING_LOST_SECONDS)
    if lost_at <= now():
        job.advance(JobStatus.UNCONFIRMED, by=Actor.SWEEPER)
    else:
        job.look_again_in(5)


def look_for_proof(job: Job, client: EndpointClient) -> None:
    """Find out whether the backend has the job; decide when there is no telling."""
    attempt = sync.current_attempt(job)
    if attempt and (attempt.runpod_id or attempt.manifest):
        if job.cancel_requested_at and attempt.runpod_id:
            _ask_to_cancel(client, attempt.runpod_id)
        sync.sync(job, client)
        job.look_again_in(YOUNG_PAUSE_SECONDS)
        return
    if job.moved_at + timedelta(seconds=job.endpoint.proof_seconds) > now():
        job.look_again_in(2)
    elif job.cancel_requested_at:
        job.advance(JobStatus.CANCELLED, by=Actor.SWEEPER, reason=Reason.USER)
    elif job.endpoint.on_unknown == Endpoint.OnUnknown.RESUBMIT:
        job.advance(JobStatus.PENDING, by=Actor.SWEEPER, has_maybe_run_twice=True)
    else:
        job.advance(
            JobStatus.FAILED,
            by=Actor.SWEEPER,
            error_code="unconfirmed",
            error_message="RunPod never confirmed the job, and this endpoint does not "
            "allow to send it twice. It may have run.",
            is_error_retryable=True,
        )


def follow(job: Job, client: EndpointClient) -> None:
    """Cancel if asked to, hear the backend's word, come back later."""
    attempt = sync.current_attempt(job)
    if job.cancel_requested_at and attempt and attempt.runpod_id:
        _ask_to_cancel(client, attempt.runpod_id)
    sync.sync(job, client)
    if job.has_ended or job.status not in {JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS}:
        return
    sync.time_out_if_overdue(job)
    is_young = job.moved_at + timedelta(seconds=YOUNG_SECONDS) > now()
    job.look_again_in(YOUNG_PAUSE_SECONDS if is_young else OLD_PAUSE_SECONDS)


def _ask_to_cancel(client: EndpointClient, runpod_id: str) -> None:
    try:
        client.cancel(runpod_id)
    except RunPodError:
        return  # asked again the next time round; the status decides
