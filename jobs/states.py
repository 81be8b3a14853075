"""The one state machine: statuses, actors, legal moves and RunPod's words.

Only `Job.advance` executes a move. The table below is the one in docs/architecture.md.
"""

from django.db.models import TextChoices

from jobs.lib.errors import IllegalMove


class JobStatus(TextChoices):
    """Where a job is. RunPod's own words, and ours before and around them."""

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


S = JobStatus
ENDS = frozenset({S.COMPLETED, S.FAILED, S.CANCELLED, S.TIMED_OUT})
ACTIVE = frozenset(S) - ENDS
# RunPod may have the job, so only RunPod can say that it ended.
REMOTE = frozenset({S.UNCONFIRMED, S.IN_QUEUE, S.IN_PROGRESS})

MOVES: dict[tuple[JobStatus, JobStatus], frozenset[Actor]] = {
    pair: frozenset(actors)
    for pair, actors in {
        (S.PENDING, S.SUBMITTING): {Actor.SUBMITTER},
        (S.PENDING, S.CANCELLED): {Actor.USER, Actor.SYNC},
        # An earlier attempt, given up for lost, delivers after all.
        (S.PENDING, S.FINALIZING): {Actor.SYNC},
        (S.PENDING, S.TIMED_OUT): {Actor.SWEEPER},
        # An item of a batch that is no usable input.
        (S.PENDING, S.FAILED): {Actor.SUBMITTER},
        (S.SUBMITTING, S.IN_QUEUE): {Actor.SUBMITTER},
        (S.SUBMITTING, S.PENDING): {Actor.SUBMITTER},
        (S.SUBMITTING, S.FAILED): {Actor.SUBMITTER},
        # A worker may be done before we have written down RunPod's answer.
        (S.SUBMITTING, S.FINALIZING): {Actor.SYNC},
        (S.SUBMITTING, S.UNCONFIRMED): {Actor.SUBMITTER, Actor.SWEEPER},
        (S.UNCONFIRMED, S.IN_QUEUE): {Actor.SYNC},
        (S.UNCONFIRMED, S.IN_PROGRESS): {Actor.SYNC},
        (S.UNCONFIRMED, S.FINALIZING): {Actor.SYNC},
        (S.UNCONFIRMED, S.PENDING): {Actor.SWEEPER},
        (S.UNCONFIRMED, S.FAILED): {Actor.SWEEPER, Actor.SYNC},
        (S.UNCONFIRMED, S.CANCELLED): {Actor.SWEEPER, Actor.SYNC},
        (S.UNCONFIRMED, S.TIMED_OUT): {Actor.SYNC, Actor.SWEEPER},
        (S.IN_QUEUE, S.IN_PROGRESS): {Actor.SYNC},
        (S.IN_PROGRESS, S.IN_QUEUE): {Actor.SYNC},
        **{
            (source, target): actors
            for source in (S.IN_QUEUE, S.IN_PROGRESS)
            for target, actors in {
                S.FINALIZING: {Actor.SYNC},
                S.PENDING: {Actor.SYNC},
                S.FAILED: {Actor.SYNC, Actor.SWEEPER},
                S.CANCELLED: {Actor.SYNC},
                S.TIMED_OUT: {Actor.SYNC, Actor.SWEEPER},
            }.items()
        },
        (S.FINALIZING, S.COMPLETED): {Actor.COLLECTOR},
        (S.FINALIZING, S.FAILED): {Actor.COLLECTOR, Actor.SWEEPER},
    }.items()
}


class Reason(TextChoices):
    """Why a job ended as it did, where the status alone does not say it."""

    USER = "user", "cancelled by a person"
    PURGED = "purged", "the endpoint's queue was purged"
    NOT_FOUND = "not_found", "RunPod no longer knows the job"
    ENDPOINT_NOT_FOUND = "endpoint_not_found", "RunPod no longer knows the endpoint"


# What a backend may answer as `status`. Anything else means "running, told otherwise".
REMOTE_WORDS = {
    "IN_QUEUE": S.IN_QUEUE,
    "IN_PROGRESS": S.IN_PROGRESS,
    "RUNNING": S.IN_PROGRESS,
    "COMPLETED": S.COMPLETED,
    "FAILED": S.FAILED,
    "CANCELLED": S.CANCELLED,
    "TIMED_OUT": S.TIMED_OUT,
}


def check_move(source: JobStatus, to: JobStatus, by: Actor) -> None:
    """Raise `IllegalMove` unless `by` may move a job from `source` to `to`."""
    if by not in MOVES.get((source, to), frozenset()):
        raise IllegalMove(f"{by.value} may not move a job from {source} to {to}")
