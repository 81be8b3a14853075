"""The only state machine: statuses, actors, legal moves and RunPod's words.

Only `Job.advance` makes a move. docs/architecture.md shows the same table as below.
"""

from django.db.models import TextChoices

from jobs.lib.errors import IllegalMove


class JobStatus(TextChoices):
    """Where a job is: RunPod's own words, and ours before and around them."""

    PENDING = "PENDING", "Held"
    SUBMITTING = "SUBMITTING", "Submitting"
    UNCONFIRMED = "UNCONFIRMED", "Unconfirmed"
    IN_QUEUE = "IN_QUEUE", "In queue"
    IN_PROGRESS = "IN_PROGRESS", "Running"
    FINALIZING = "FINALIZING", "Saving result"
    COMPLETED = "COMPLETED", "Completed"
    FAILED = "FAILED", "Failed"
    CANCELLED = "CANCELLED", "Cancelled"
    TIMED_OUT = "TIMED_OUT", "Timed out"


class Actor(TextChoices):
    """Who moves a job."""

    USER = "user", "a person"
    SUBMITTER = "submitter", "the submitter"
    SYNC = "sync", "the backend"
    COLLECTOR = "collector", "the collector"
    SWEEPER = "sweeper", "a deadline"


# All sets of statuses are defined and named here; no other module defines one.
ENDS = frozenset(
    {
        JobStatus.COMPLETED,
        JobStatus.FAILED,
        JobStatus.CANCELLED,
        JobStatus.TIMED_OUT,
    }
)
NOT_COMPLETED = ENDS - {JobStatus.COMPLETED}
# Ends that are failures: not completed, and nobody asked for that.
FAILURES = NOT_COMPLETED - {JobStatus.CANCELLED}
ACTIVE = frozenset(JobStatus) - ENDS
# A worker has the job, or had it and the result is being saved.
RUNNING = frozenset({JobStatus.IN_PROGRESS, JobStatus.FINALIZING})
WAITING = ACTIVE - RUNNING
# Waiting in a queue: ours or the backend's.
QUEUED = frozenset({JobStatus.PENDING, JobStatus.IN_QUEUE})
# Waiting, and no backend has confirmed that it has the job.
HELD = WAITING - {JobStatus.IN_QUEUE}
# Waiting, and no longer held only by us.
HANDED_OVER = WAITING - {JobStatus.PENDING}
# RunPod may have the job, so only RunPod can say that it ended.
REMOTE = frozenset({JobStatus.UNCONFIRMED, JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS})
# RunPod has the job or will get it in a moment; it counts for the release window.
AT_BACKEND = REMOTE | {JobStatus.SUBMITTING}
# A manifest may still end the job.
AWAITING_RESULT = ACTIVE - {JobStatus.FINALIZING}
# The next step may need no remote call.
LOCAL_STEPS = frozenset(
    {JobStatus.SUBMITTING, JobStatus.UNCONFIRMED, JobStatus.FINALIZING}
)

MOVES: dict[tuple[JobStatus, JobStatus], frozenset[Actor]] = {
    pair: frozenset(actors)
    for pair, actors in {
        (JobStatus.PENDING, JobStatus.SUBMITTING): {Actor.SUBMITTER},
        (JobStatus.PENDING, JobStatus.CANCELLED): {Actor.USER, Actor.SYNC},
        # An earlier attempt, given up as lost, delivers its result after all.
        (JobStatus.PENDING, JobStatus.FINALIZING): {Actor.SYNC},
        (JobStatus.PENDING, JobStatus.TIMED_OUT): {Actor.SWEEPER},
        # An item of a batch whose input is unusable.
        (JobStatus.PENDING, JobStatus.FAILED): {Actor.SUBMITTER},
        (JobStatus.SUBMITTING, JobStatus.IN_QUEUE): {Actor.SUBMITTER},
        (JobStatus.SUBMITTING, JobStatus.PENDING): {Actor.SUBMITTER},
        (JobStatus.SUBMITTING, JobStatus.FAILED): {Actor.SUBMITTER},
        # A worker may finish before we record RunPod's answer to /run.
        (JobStatus.SUBMITTING, JobStatus.FINALIZING): {Actor.SYNC},
        (JobStatus.SUBMITTING, JobStatus.UNCONFIRMED): {Actor.SUBMITTER, Actor.SWEEPER},
        (JobStatus.UNCONFIRMED, JobStatus.IN_QUEUE): {Actor.SYNC},
        (JobStatus.UNCONFIRMED, JobStatus.IN_PROGRESS): {Actor.SYNC},
        (JobStatus.UNCONFIRMED, JobStatus.FINALIZING): {Actor.SYNC},
        (JobStatus.UNCONFIRMED, JobStatus.PENDING): {Actor.SWEEPER, Actor.SYNC},
        (JobStatus.UNCONFIRMED, JobStatus.FAILED): {Actor.SWEEPER, Actor.SYNC},
        (JobStatus.UNCONFIRMED, JobStatus.CANCELLED): {Actor.SWEEPER, Actor.SYNC},
        (JobStatus.UNCONFIRMED, JobStatus.TIMED_OUT): {Actor.SYNC, Actor.SWEEPER},
        (JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS): {Actor.SYNC},
        (JobStatus.IN_PROGRESS, JobStatus.IN_QUEUE): {Actor.SYNC},
        **{
            (source, target): actors
            for source in (JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS)
            for target, actors in {
                JobStatus.FINALIZING: {Actor.SYNC},
                JobStatus.PENDING: {Actor.SYNC},
                JobStatus.FAILED: {Actor.SYNC, Actor.SWEEPER},
                JobStatus.CANCELLED: {Actor.SYNC},
                JobStatus.TIMED_OUT: {Actor.SYNC, Actor.SWEEPER},
            }.items()
        },
        (JobStatus.FINALIZING, JobStatus.COMPLETED): {Actor.COLLECTOR},
        (JobStatus.FINALIZING, JobStatus.FAILED): {Actor.COLLECTOR, Actor.SWEEPER},
    }.items()
}


class Reason(TextChoices):
    """Why a job ended, if the status alone does not say it."""

    USER = "user", "cancelled by a person"
    PURGED = "purged", "the endpoint's queue was purged"
    NOT_FOUND = "not_found", "RunPod no longer knows the job"
    ENDPOINT_NOT_FOUND = "endpoint_not_found", "RunPod no longer knows the endpoint"


# What a backend may answer as `status`. Any other word counts as running.
REMOTE_WORDS = {
    "IN_QUEUE": JobStatus.IN_QUEUE,
    "IN_PROGRESS": JobStatus.IN_PROGRESS,
    "RUNNING": JobStatus.IN_PROGRESS,
    "COMPLETED": JobStatus.COMPLETED,
    "FAILED": JobStatus.FAILED,
    "CANCELLED": JobStatus.CANCELLED,
    "TIMED_OUT": JobStatus.TIMED_OUT,
}


def check_move(source: JobStatus, to: JobStatus, by: Actor) -> None:
    """Raise `IllegalMove` unless `by` may move a job from `source` to `to`."""
    if by not in MOVES.get((source, to), frozenset()):
        raise IllegalMove(f"{by.value} may not move a job from {source} to {to}")
