"""What a 404 for a job means, and when to believe it.

RunPod answers 404 for purged, expired and lost jobs, for some minutes even for running
ones (an incident of September 2026), and for every job of an endpoint it has switched
off. A manifest in our storage overrides all of them; the caller checks for one first.
"""

from datetime import timedelta

from django.utils.timezone import now

from jobs.lib import conf
from jobs.models import Attempt, Job
from jobs.services.operations import endpoints
from jobs.states import Actor, JobStatus, Reason


def note(job: Job, attempt: Attempt, reason: Reason) -> None:
    """Count one 404; end the job once enough of them confirm it."""
    if was_purged(job, attempt) and job.status == JobStatus.IN_QUEUE:
        job.advance(JobStatus.CANCELLED, by=Actor.SYNC, reason=Reason.PURGED)
        return
    since, count = job.not_found_since or now(), job.not_found_count + 1
    Job.objects.filter(pk=job.pk).update(not_found_count=count, not_found_since=since)
    is_sure = since + timedelta(seconds=conf.NOT_FOUND_SECONDS) <= now()
    if count >= conf.NOT_FOUND_ANSWERS and is_sure:
        _end(job, attempt, reason)


def forget(job: Job) -> None:
    """Forget earlier 404s: the job exists after all."""
    Job.objects.filter(pk=job.pk).update(not_found_count=0, not_found_since=None)


def _end(job: Job, attempt: Attempt, reason: Reason) -> None:
    if job.cancel_requested_at:
        reason = Reason.USER
    elif reason == Reason.NOT_FOUND and _is_past_ttl(job, attempt):
        text = "RunPod deleted the job because its time to live was over."
        job.advance(
            JobStatus.TIMED_OUT, by=Actor.SYNC, error_code="ttl", error_message=text
        )
        return
    elif reason == Reason.NOT_FOUND and was_purged(job, attempt):
        reason = Reason.PURGED
    job.advance(JobStatus.CANCELLED, by=Actor.SYNC, reason=reason)


def was_purged(job: Job, attempt: Attempt) -> bool:
    """Whether the endpoint's queue was purged while the attempt may have been in it."""
    purged_at = job.endpoint.purged_at
    return purged_at is not None and attempt.created_at <= purged_at


def _is_past_ttl(job: Job, attempt: Attempt) -> bool:
    lives = timedelta(seconds=endpoints.ttl_seconds(job.endpoint))
    return attempt.created_at + lives <= now()
