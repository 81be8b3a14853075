"""Batches in the terms of Cortex's Batch API (v0.35), for its handlers and clients."""

from collections import Counter
from typing import Any

from django.db.models import Avg, Count, F, Q

from jobs.models import Attempt, Batch
from jobs.services.batching import batch_json
from jobs.services.lifecycle import batch_envelope
from jobs.states import ACTIVE, RUNNING, JobStatus

Json = dict[str, Any]


def job_status(batch: Batch) -> Json:
    """Return what Cortex's GET /batch/<api>?jobID= returns, and some fields it lacks.

    As in Cortex, `batch_metrics.failed` counts failed attempts; `failed_batches` counts
    batches without a result.
    """
    counted = batch_json.counts([batch])[batch.pk]
    failed = _failed_attempts(batch)
    metrics = {
        "succeeded": counted["completed"],
        "failed": failed,
        "average_time_per_batch": _average(batch),
    }
    summary = {
        **batch_envelope.job_spec(batch),
        "status": _status(batch, counted, failed),
        "batches_in_queue": counted["waiting"] + counted["active"],
        "batch_metrics": metrics,
        "failed_batches": counted["failed"],
        "failed_attempts": failed,
    }
    if batch.ended_at:
        return {**summary, "end_time": batch.ended_at.isoformat()}
    return {**summary, "worker_counts": _worker_counts(batch)}


def _status(batch: Batch, counted: Counter[str], failed_attempts: int) -> str:
    word = batch_json.status_of(batch, counted)
    if batch.is_timed_out:
        return "timed_out"
    if word == "COMPLETED":
        return "completed_with_failures" if failed_attempts else "succeeded"
    if word == "COMPLETED_WITH_FAILURES" and not counted["completed"]:
        codes = {group.code for group in batch_json.failures(batch)}
        return _OF_WORKERS.get(" ".join(codes), "completed_with_failures")
    return _STATUSES[word]


_OF_WORKERS = {"out_of_memory": "worker_oom", "setup_failed": "worker_error"}
_STATUSES = {
    "ENQUEUING": "enqueuing",
    "PENDING": "pending",
    "RUNNING": "running",
    "CANCELLING": "stopped",
    "CANCELLED": "stopped",
    "ENQUEUE_FAILED": "enqueue_failed",
    "COMPLETED_WITH_FAILURES": "completed_with_failures",
}


def _failed_attempts(batch: Batch) -> int:
    ended = Attempt.objects.filter(job__batch=batch, ended_at__isnull=False)
    of_items = ended.filter(job__batch_index__isnull=False)
    won = Q(job__status=JobStatus.COMPLETED, number=F("job__attempt_no"))
    return of_items.exclude(won).count()


def _average(batch: Batch) -> float | None:
    """Return the average run time in seconds of the batches that succeeded."""
    done = batch.jobs.filter(status=JobStatus.COMPLETED, batch_index__isnull=False)
    average = done.aggregate(seconds=Avg(F("finished_at") - F("started_at")))["seconds"]
    return None if average is None else round(average.total_seconds(), 3)


def _worker_counts(batch: Batch) -> dict[str, int]:
    rows = batch.jobs.filter(status__in=ACTIVE).order_by().values_list("status")
    counts: Counter[str] = Counter()
    for status, number in rows.annotate(Count("pk")):
        is_running = status in RUNNING
        counts["running" if is_running else "pending"] += number
    return dict(counts)
