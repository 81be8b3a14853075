"""What a user reads about a job: where it is, why, and what to do next."""

from dataclasses import dataclass
from datetime import timedelta

from django.utils.timezone import now

from jobs.models import Endpoint, Job
from jobs.services.lifecycle.jobs import queue_position
from jobs.services.operations import diagnosis
from jobs.states import FAILURES, HELD, QUEUED, JobStatus, Reason

STEPS = (
    ("Held", HELD),
    ("In queue", {JobStatus.IN_QUEUE}),
    ("Running", {JobStatus.IN_PROGRESS}),
    ("Saving", {JobStatus.FINALIZING}),
)
CANCELLED = {
    Reason.USER: "This job was cancelled on request.",
    Reason.PURGED: "The operator emptied this endpoint's queue before a worker took "
    "the job. Nothing ran; run it again whenever you like.",
    Reason.NOT_FOUND: "RunPod no longer knows this job, and it left no result. Run it "
    "again.",
    Reason.ENDPOINT_NOT_FOUND: "RunPod no longer knows this endpoint. This happens "
    "after a negative account balance. The operator has to check the balance or "
    "recreate the endpoint; then run the job again.",
}
# Causes that say less than the job's position in the queue.
SAY_NOTHING_NEW = {"unknown", "busy", "window_full", "paused"}
PATIENCE = timedelta(seconds=10)
ELSEWHERE = "The job was cancelled at RunPod, outside Slipway. Run it again."


@dataclass(frozen=True)
class Step:
    """One step of a job's progress bar on the page."""

    title: str
    is_done: bool
    is_current: bool


def steps(job: Job) -> list[Step]:
    """Return the steps with the current one marked; all are done when completed."""
    current = next((n for n, (_, held) in enumerate(STEPS) if job.status in held), None)
    if current is None:
        is_done = job.status == JobStatus.COMPLETED
        return [Step(title, is_done=is_done, is_current=False) for title, _ in STEPS]
    return [
        Step(title, is_done=n < current, is_current=n == current)
        for n, (title, _) in enumerate(STEPS)
    ]


def sentence(job: Job) -> str:
    """Return one sentence on what is happening, or an empty string."""
    if job.cancel_requested_at and not job.has_ended:
        return "Cancelling: waiting until the worker has stopped."
    where = "RunPod" if job.endpoint.kind == Endpoint.Kind.RUNPOD else "the local queue"
    if job.status in QUEUED:
        return _why_waiting(job, where)
    texts = {
        JobStatus.SUBMITTING: f"Being handed to {where}.",
        JobStatus.UNCONFIRMED: f"{where[0].upper()}{where[1:]} did not confirm that it has the "
        "job. Looking for proof before it is sent again.",
        JobStatus.FINALIZING: "Checking and saving the result.",
        JobStatus.TIMED_OUT: "The job reached its time limit before it finished.",
        JobStatus.CANCELLED: why_cancelled(job),
    }
    return texts.get(JobStatus(job.status), "")


def why_cancelled(job: Job) -> str:
    """Return why a job was cancelled and what to do; empty for any other status."""
    if job.status != JobStatus.CANCELLED:
        return ""
    return CANCELLED[Reason(job.reason)] if job.reason else ELSEWHERE


def _why_waiting(job: Job, where: str) -> str:
    alert = job.endpoint.alerts.filter(resolved_at=None).first()
    has_waited = now() - job.moved_at > PATIENCE
    is_known = alert or job.endpoint.diagnosis
    verdict = diagnosis.of(job.endpoint) if is_known or has_waited else None
    if verdict and verdict.cause not in SAY_NOTHING_NEW:
        return f"{verdict.for_user} {_ahead(job).capitalize()}."
    if alert and job.status == JobStatus.PENDING:
        return f"Held here: {alert.message} The operator has been told."
    if job.status == JobStatus.IN_QUEUE:
        return f"Waiting for a free worker in {where}; {_ahead(job)}."
    if job.attempts.exists():
        return f"Attempt {job.attempt_no} did not succeed; the next one starts soon."
    return f"Held here until {where} has room for it; {_ahead(job)}."


def _ahead(job: Job) -> str:
    position = queue_position(job) or 1
    return f"{position - 1} ahead of it" if position > 1 else "it is next"


def next_step(job: Job) -> str:
    """Return what a person can do about a failure."""
    if job.status not in FAILURES:
        return ""
    if job.error_code in {"invalid_input", "input_unavailable"}:
        return "Change the input and run it again."
    if job.is_error_retryable:
        return "Nothing is wrong with your input. Run it again."
    return "Run it again; if it fails the same way, tell the operator the job's id."
