"""What a person is told about a job: where it is, why, and what can be done."""

from dataclasses import dataclass

from jobs.models import Endpoint, Job
from jobs.services.jobs import queue_position
from jobs.states import JobStatus, Reason

S = JobStatus
STEPS = (
    ("Held", {S.PENDING, S.SUBMITTING, S.UNCONFIRMED}),
    ("In queue", {S.IN_QUEUE}),
    ("Running", {S.IN_PROGRESS}),
    ("Saving", {S.FINALIZING}),
)
CANCELLED = {
    Reason.USER: "You cancelled this job.",
    Reason.PURGED: "The operator emptied this endpoint's queue. Nothing ran.",
    Reason.NOT_FOUND: "RunPod no longer knows this job, and it left no result.",
    Reason.ENDPOINT_NOT_FOUND: "RunPod no longer knows this endpoint. The operator "
    "has to check the account's balance and recreate it.",
}


@dataclass(frozen=True)
class Step:
    """One step of the way, for the rail on the page."""

    title: str
    is_done: bool
    is_current: bool


def steps(job: Job) -> list[Step]:
    """Return the steps with the current one marked; all done once completed."""
    current = next((n for n, (_, held) in enumerate(STEPS) if job.status in held), None)
    if current is None:
        is_done = job.status == S.COMPLETED
        return [Step(title, is_done=is_done, is_current=False) for title, _ in STEPS]
    return [
        Step(title, is_done=n < current, is_current=n == current)
        for n, (title, _) in enumerate(STEPS)
    ]


def sentence(job: Job) -> str:
    """Return one sentence on what is happening, or an empty string."""
    if job.cancel_requested_at and not job.has_ended:
        return "Cancelling: waiting until the worker has really stopped."
    where = "RunPod" if job.endpoint.kind == Endpoint.Kind.RUNPOD else "the local queue"
    if job.status in {S.PENDING, S.IN_QUEUE}:
        position = queue_position(job) or 1
        ahead = f"{position - 1} ahead of it" if position > 1 else "it is next"
        if job.status == S.PENDING and job.attempt_no:
            return (
                f"Attempt {job.attempt_no} did not succeed; the next one starts soon."
            )
        return f"Waiting for a free worker in {where}; {ahead}."
    texts = {
        S.SUBMITTING: f"Being handed to {where}.",
        S.UNCONFIRMED: f"{where[0].upper()}{where[1:]} did not confirm that it has the "
        "job. Looking for proof before anything is sent again.",
        S.FINALIZING: "Checking the result before calling it done.",
        S.TIMED_OUT: "The job reached its time limit before it was done.",
        S.CANCELLED: CANCELLED.get(Reason(job.reason), "")
        if job.reason
        else "The job was cancelled at RunPod, outside Slipway.",
    }
    return texts.get(S(job.status), "")


def next_step(job: Job) -> str:
    """Return what a person can do about a failure."""
    if job.status not in {S.FAILED, S.TIMED_OUT}:
        return ""
    if job.error_code in {"invalid_input", "input_unavailable"}:
        return "Change the input and run it again."
    if job.is_error_retryable:
        return "Nothing is wrong with your input. Run it again."
    return "Run it again; if it fails the same way, tell the operator the job's id."
