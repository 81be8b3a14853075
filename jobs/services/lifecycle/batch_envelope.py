"""What a batch handler gets besides its payload, as in Cortex's Batch API (v0.35)."""

from typing import Any

from django.conf import settings

from jobs.models import Batch, Job

Json = dict[str, Any]
KIND = "BatchAPI"
# The field of an input that holds the items of one job.
PAYLOAD = "payload"
# The batch's metadata stores the value submitted under this name and returns it.
LETTERS = "sqs_dead_letter_queue"


def merged(base: Json, winner: Json) -> Json:
    """Merge `winner` into `base`: objects key by key; other values are replaced."""
    combined = dict(base)
    for key, value in winner.items():
        before = combined.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            value = merged(before, value)
        combined[key] = value
    return combined


def job_spec(batch: Batch) -> Json:
    """Return what Cortex calls the job: the batch as it was submitted.

    `total_batch_count` is null until all items are read, because work starts earlier.
    """
    return {
        "job_id": str(batch.pk),
        "api_name": batch.endpoint.slug,
        "kind": KIND,
        "workers": batch.in_flight,
        "config": batch.config,
        "timeout": batch.timeout_seconds,
        LETTERS: batch.metadata.get(LETTERS),
        "api_id": str(batch.endpoint_id),
        "sqs_url": f"{settings.PUBLIC_URL}/batches/{batch.pk}/",
        "total_batch_count": batch.total if batch.enqueued_at else None,
        "start_time": batch.created_at.isoformat(),
    }


def of(job: Job) -> Json:
    """Return the batch fields that a batch handler needs besides its payload.

    The completion job, which runs after all items have ended, has an empty payload.
    """
    batch = job.batch
    if batch is None:
        return {}
    if batch.endpoint_id == job.endpoint_id:
        batch.endpoint = job.endpoint  # already loaded
    return {
        "id": str(job.pk),
        "config": merged(batch.endpoint.config, batch.config),
        "job_spec": job_spec(batch),
        "on_job_complete": not job.input.get(PAYLOAD),
    }
