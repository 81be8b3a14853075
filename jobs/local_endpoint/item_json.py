"""A queue item in RunPod's words."""

from typing import Any

from jobs.models.queue_item import QueueItem


def item_json(item: QueueItem) -> dict[str, Any]:
    """Return an item as /status shows it; times in milliseconds."""
    body: dict[str, Any] = {"id": item.pk, "status": item.status}
    if item.taken_at:
        body["delayTime"] = _span(item.created_at, item.taken_at)
        body["workerId"] = item.worker_id
        if item.ended_at:
            body["executionTime"] = _span(item.taken_at, item.ended_at)
    if item.has_output:
        body["output"] = item.output
    if item.error is not None:
        body["error"] = item.error
    if item.deliveries > 1:
        body["retries"] = item.deliveries - 1
    return body


def _span(start: Any, end: Any) -> int:
    return max(0, int((end - start).total_seconds() * 1000))
