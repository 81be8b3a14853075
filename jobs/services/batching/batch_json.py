"""The JSON form of a batch, counted from its jobs: for pages, programs and webhooks.

`base` is the URL at which the reader reaches us, such as "https://slipway.example",
without a trailing slash.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Avg, Count, F, Min
from django.urls import reverse
from django.utils.timezone import now

from jobs.models import Batch, Job
from jobs.services.money import costs
from jobs.states import ACTIVE, FAILURES, NOT_COMPLETED, JobStatus

KINDS = ("waiting", "active", "completed", "failed", "cancelled", "deleted")
# An item that was no usable input; running it again unchanged cannot help.
BAD_ITEM = "bad_item"
RECENT = timedelta(minutes=5)
GROUPS = 20


@dataclass(frozen=True)
class FailureGroup:
    """Failed items whose messages differ only in names and numbers."""

    code: str
    signature: str
    number: int
    first_index: int
    example: str

    @property
    def text(self) -> str:
        """The message to show: the common part if there are several items."""
        return self.signature if self.number > 1 and self.signature else self.example

    @property
    def condition(self) -> dict[str, str]:
        """The filter for its jobs."""
        return {"error_code": self.code, "error_signature": self.signature}

    @property
    def is_retryable(self) -> bool:
        """Whether running the items again may help."""
        return self.code != BAD_ITEM


@dataclass(frozen=True)
class Speed:
    """How fast items end, and when the last one ends at this rate."""

    per_minute: float
    run_seconds: float | None
    ends_at: datetime | None


def counts(batches: list[Batch]) -> dict[Any, Counter[str]]:
    """Return {batch id: number of items by kind}, in one query for all batches."""
    by_batch: dict[Any, Counter[str]] = {
        one.pk: Counter(waiting=one.total - one.next_index) for one in batches
    }
    rows = Job.objects.filter(batch__in=by_batch, is_replaced=False).order_by()
    for pk, status, count in rows.values_list("batch", "status").annotate(Count("pk")):
        by_batch[pk][_kind(status)] += count
    for one in batches:
        counted = by_batch[one.pk]
        # Items may have become jobs since the batch row was read.
        counted["waiting"] -= max(
            0, min(counted["waiting"], counted.total() - one.total)
        )
        counted["deleted"] = max(0, one.total - counted.total())
        if one.cancel_requested_at:
            # Items that never became jobs count as cancelled, too.
            counted["cancelled"] += counted.pop("waiting")
    return by_batch


def _kind(status: str) -> str:
    if status in ACTIVE:
        return "active"
    if status in FAILURES:
        return "failed"
    return "completed" if status == JobStatus.COMPLETED else "cancelled"


def status_of(batch: Batch, counted: Counter[str]) -> str:
    """Return a batch's status in one word, from its counts."""
    if batch.ended_at is None:
        return _open_status(batch, counted)
    if batch.is_timed_out:
        return "TIMED_OUT"
    if batch.cancel_requested_at:
        return "CANCELLED"
    if batch.enqueue_error:
        return "ENQUEUE_FAILED"
    if counted["cancelled"] == batch.total:
        return "CANCELLED"
    if counted["failed"] or counted["cancelled"] or _completion_failed(batch):
        return "COMPLETED_WITH_FAILURES"
    return "COMPLETED"


def _open_status(batch: Batch, counted: Counter[str]) -> str:
    if batch.cancel_requested_at:
        return "CANCELLING"
    if counted["waiting"] < batch.total:
        return "RUNNING"
    return "PENDING" if batch.enqueued_at else "ENQUEUING"


def _completion_failed(batch: Batch) -> bool:
    return (
        batch.completion is not None and batch.completion.status != JobStatus.COMPLETED
    )


def speed(batch: Batch, counted: Counter[str]) -> Speed:
    """Return how fast items have ended in the last minutes, and the estimated end."""
    ended = batch.jobs.filter(is_replaced=False, finished_at__isnull=False)
    since = max(batch.created_at, (batch.ended_at or now()) - RECENT)
    stats = ended.filter(finished_at__gte=since).aggregate(
        number=Count("pk"),
        seconds=Avg(F("finished_at") - F("started_at")),
    )
    until = batch.ended_at or now()
    minutes = max((until - since).total_seconds(), 1.0) / 60
    per_minute = stats["number"] / minutes
    left = counted["waiting"] + counted["active"]
    is_known = per_minute and left and batch.enqueued_at and not batch.ended_at
    ends_at = now() + timedelta(minutes=left / per_minute) if is_known else None
    seconds = stats["seconds"]
    return Speed(
        round(per_minute, 1),
        None if seconds is None else round(seconds.total_seconds(), 3),
        ends_at,
    )


def batch_json(
    batch: Batch, counted: Counter[str], *, base: str = settings.PUBLIC_URL
) -> dict[str, Any]:
    """Return a batch as the API and webhooks show it."""
    path = reverse("api:read_batch", kwargs={"batch_id": batch.pk})
    url = f"{base}{path}"
    return {
        "id": str(batch.pk),
        "endpoint": batch.endpoint.slug,
        "name": batch.name,
        "status": status_of(batch, counted),
        "total": batch.total,
        "enqueued": batch.enqueued_at is not None,
        "enqueue_error": batch.enqueue_error or None,
        "counts": {kind: counted[kind] for kind in KINDS},
        "metadata": batch.metadata,
        "workers": batch.in_flight,
        "batch_size": batch.batch_size,
        "timeout": batch.timeout_seconds,
        "max_attempts": batch.max_attempts,
        "config": batch.config,
        "cost": {"amount": float(batch.cost), "currency": costs.CURRENCY},
        "completion_job": str(batch.completion_id) if batch.completion_id else None,
        "cancel_requested": batch.cancel_requested_at is not None,
        "created_at": batch.created_at,
        "ended_at": batch.ended_at,
        "urls": {
            "self": url,
            "items": f"{url}/items",
            "results": f"{url}/results.ndjson",
            "failures": f"{url}/failures.ndjson",
            "files": f"{url}/results.zip",
            "cancel": f"{url}/cancel",
            "retry_failed": f"{url}/retry_failed",
            "web": f"{base}{reverse('batch', kwargs={'batch_id': batch.pk})}",
        },
    }


def detail(batch: Batch, counted: Counter[str]) -> dict[str, Any]:
    """Return the details that the API adds for a single batch."""
    going = speed(batch, counted)
    return {
        "items_per_minute": going.per_minute,
        "average_run_seconds": going.run_seconds,
        "eta": going.ends_at,
        "failures": [
            {
                "code": group.code,
                "signature": group.signature,
                "count": group.number,
                "first_index": group.first_index,
                "example": group.example,
                "retryable": group.is_retryable,
            }
            for group in failures(batch)
        ],
    }


def retryable(batch: Batch) -> int:
    """Return how many items have no result and may be run again."""
    ended = batch.jobs.filter(is_replaced=False, status__in=NOT_COMPLETED)
    return ended.exclude(error_code=BAD_ITEM).count()


def failures(batch: Batch) -> list[FailureGroup]:
    """Return the failed items of a batch, grouped by message, most frequent first."""
    failed = batch.jobs.filter(is_replaced=False, status__in=FAILURES).order_by()
    rows = failed.values_list("error_code", "error_signature").annotate(
        number=Count("pk"), first=Min("batch_index"), example=Min("error_message")
    )
    ordered = rows.order_by("-number", "error_code", "error_signature")
    return [
        FailureGroup(code, signature, number, first, example[:200])
        for code, signature, number, first, example in ordered[:GROUPS]
    ]
