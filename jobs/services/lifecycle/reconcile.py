"""The loop's steps that need no remote call, one for each status.

`jobs.shifts.loop` does the rest: it sends held jobs (`release`, `submission`) and polls
the jobs that RunPod has (`tracking`, `sync`).
"""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db.models import F
from django.utils.timezone import now

from jobs.lib import conf
from jobs.models import Endpoint, Job
from jobs.services.lifecycle import completion, sync
from jobs.states import Actor, JobStatus, Reason

POISON = {
    "error_code": "poison",
    "error_message": "Working on this job crashed the process three times in a row. "
    "Slipway stopped the job to protect the others.",
}


def begin_step(job: Job) -> bool:
    """Count that a step begins; end a job whose steps kill processes. False: do nothing.

    `Job.advance`, or `end_step` where nothing moved, sets the count back.
    """
    # A claim counts as one unfinished step, but nothing has died of it yet.
    deaths = job.unfinished_steps - (job.status == JobStatus.SUBMITTING)
    if deaths >= conf.MAX_TAKES:
        # SUBMITTING cannot fail directly: go to UNCONFIRMED, which the next step ends.
        to = (
            JobStatus.UNCONFIRMED
            if job.status == JobStatus.SUBMITTING
            else JobStatus.FAILED
        )
        job.advance(
            to, by=Actor.SWEEPER, **({} if to == JobStatus.UNCONFIRMED else POISON)
        )
        return False
    Job.objects.filter(pk=job.pk).update(unfinished_steps=F("unfinished_steps") + 1)
    return True


def end_step(job: Job) -> None:
    """The step finished, with whatever result: forget earlier deaths."""
    Job.objects.filter(pk=job.pk, unfinished_steps__gt=0).update(unfinished_steps=0)


def leave_step(job: Job) -> None:
    """Keep the count from before this step: the work goes on in another task."""
    Job.objects.filter(pk=job.pk).update(unfinished_steps=job.unfinished_steps)


def step(job: Job) -> None:
    """Take the step that `job` needs now. Safe to repeat at any time."""
    if sync.apply_manifest(job):
        return
    match job.status:
        case JobStatus.SUBMITTING:
            doubt_if_lost(job)
        case JobStatus.UNCONFIRMED:
            give_up_proof(job)
        case JobStatus.FINALIZING:
            completion.collect(job)


def doubt_if_lost(job: Job) -> None:
    """Doubt a job whose submitter was silent longer than any request may take.

    This counts as no crash: the process that claimed the job still holds the lease.
    Otherwise the next shift would have called `doubt_orphans` already.
    """
    lost_at = job.moved_at + timedelta(seconds=conf.SUBMITTING_LOST_SECONDS)
    if lost_at <= now():
        unfinished_steps = max(0, job.unfinished_steps - 1)
        job.advance(
            JobStatus.UNCONFIRMED, by=Actor.SWEEPER, unfinished_steps=unfinished_steps
        )
    else:
        job.look_again_in(5)


def doubt_orphans() -> None:
    """A new shift begins: doubt every job that an earlier one was still submitting.

    If its submitter is only late, no harm is done: the id it brings is the proof.
    """
    for job in Job.objects.filter(status=JobStatus.SUBMITTING):
        job.advance(JobStatus.UNCONFIRMED, by=Actor.SWEEPER)


def doubt_unanswered(pks: Collection[UUID]) -> None:
    """Doubt jobs that were still being sent when a shift ended. That is no death."""
    for job in Job.objects.filter(pk__in=pks, status=JobStatus.SUBMITTING):
        job.advance(
            JobStatus.UNCONFIRMED,
            by=Actor.SWEEPER,
            unfinished_steps=max(0, job.unfinished_steps - 1),
        )


def give_up_proof(job: Job) -> None:
    """Decide about a job that RunPod may or may not have, once proof has not come."""
    if job.moved_at + timedelta(seconds=job.endpoint.proof_seconds) > now():
        job.look_again_in(2)
    elif job.cancel_requested_at:
        job.advance(JobStatus.CANCELLED, by=Actor.SWEEPER, reason=Reason.USER)
    elif job.endpoint.on_unknown == Endpoint.OnUnknown.HOLD:
        _fail(
            job,
            "RunPod never confirmed the job, and this endpoint does not allow sending "
            "it twice. It may have run.",
        )
    elif job.attempts.count() >= job.endpoint.max_attempts:
        _fail(
            job,
            "RunPod never confirmed the last attempt, and this endpoint allows no more "
            "attempts. It may have run.",
        )
    else:
        job.advance(
            JobStatus.PENDING,
            by=Actor.SWEEPER,
            has_maybe_run_twice=True,
            unfinished_steps=job.unfinished_steps,
        )


def _fail(job: Job, message: str) -> None:
    job.advance(
        JobStatus.FAILED,
        by=Actor.SWEEPER,
        error_code="unconfirmed",
        error_message=message,
        is_error_retryable=True,
    )
