"""The queue of a local endpoint: the only writer of `QueueItem`.

It behaves as RunPod's does towards clients and towards SDK workers, and knows nothing
of jobs. Every function may run twice, and concurrently, on SQLite and PostgreSQL: a
claim is a conditional update, and zero rows updated means somebody was first.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.utils.timezone import now

from jobs.lib import conf, nudge
from jobs.models.endpoint import Endpoint
from jobs.models.queue_item import QueueChunk, QueueItem

WAITING_OR_RUNNING = (QueueItem.Status.IN_QUEUE, QueueItem.Status.IN_PROGRESS)
# RunPod's defaults, in milliseconds [D send-requests.mdx].
DEFAULT_TTL = 24 * 3600 * 1000
DEFAULT_EXECUTION_TIMEOUT = 600 * 1000


def put(
    endpoint: Endpoint, input: Any, *, policy: dict[str, Any], webhook: str
) -> QueueItem:
    """Queue one item."""
    ttl = _milliseconds(policy.get("ttl"), DEFAULT_TTL)
    return QueueItem.objects.create(
        endpoint_slug=endpoint.slug,
        queue=endpoint.queue_name,
        input=input,
        policy=policy,
        webhook=webhook,
        expires_at=now() + timedelta(milliseconds=ttl),
    )


def find(slug: str, id: str) -> QueueItem | None:
    """Return an item of the endpoint that is not past its ttl."""
    return QueueItem.objects.filter(
        endpoint_slug=slug, pk=id, expires_at__gt=now()
    ).first()


def has_waiting(queue: str) -> bool:
    """Whether there may be something to take: what an idle worker asks all the time."""
    return QueueItem.objects.filter(
        queue=queue, status=QueueItem.Status.IN_QUEUE
    ).exists()


def take(queue: str, worker_id: str, count: int) -> list[QueueItem]:
    """Hand the oldest waiting items to a worker, at most `count`."""
    waiting = QueueItem.objects.filter(
        queue=queue, status=QueueItem.Status.IN_QUEUE, expires_at__gt=now()
    ).order_by("created_at", "pk")
    taken: list[QueueItem] = []
    for item in waiting[: count + 8]:  # a few more: others may be first
        if len(taken) < count and _claim(item, worker_id):
            taken.append(item)
    return taken


def _claim(item: QueueItem, worker_id: str) -> bool:
    at = now()
    changes = {
        "status": QueueItem.Status.IN_PROGRESS,
        "worker_id": worker_id,
        "taken_at": at,
        "lease_until": at + timedelta(seconds=conf.ITEM_ACK_SECONDS),
        "deliveries": item.deliveries + 1,
        "is_stop_wanted": False,
    }
    here = QueueItem.objects.filter(
        pk=item.pk, status=QueueItem.Status.IN_QUEUE, deliveries=item.deliveries
    )
    if not here.update(**changes):
        return False
    for name, value in changes.items():
        setattr(item, name, value)
    return True


def progress(slug: str, id: str, worker_id: str, output: Any) -> None:
    """Keep the newest progress as `output`, while the item runs and only then."""
    QueueItem.objects.filter(
        endpoint_slug=slug,
        pk=id,
        worker_id=worker_id,
        status=QueueItem.Status.IN_PROGRESS,
    ).update(output=output, has_output=True)


def finish(slug: str, id: str, worker_id: str, answer: dict[str, Any]) -> bool:
    """End an item with a worker's answer; the first final answer wins, whoever sends it.

    An `error` means FAILED, anything else COMPLETED (RunPod's convention, runpod-python
    #12). Return False when the item had ended before or is unknown.
    """
    has_failed = "error" in answer
    with transaction.atomic():
        item = QueueItem.objects.filter(endpoint_slug=slug, pk=id).first()
        if item is None:
            return False
        ended = QueueItem.objects.filter(pk=id, status__in=WAITING_OR_RUNNING).update(
            status=QueueItem.Status.FAILED
            if has_failed
            else QueueItem.Status.COMPLETED,
            output=answer.get("output"),
            has_output="output" in answer,
            error=answer.get("error"),
            ended_at=now(),
            # Somebody else is still at it: tell that worker to stop.
            is_stop_wanted=item.status == QueueItem.Status.IN_PROGRESS
            and item.worker_id != worker_id,
        )
        if ended:
            nudge.queue_item(id)
    return bool(ended)


def add_chunk(slug: str, id: str, output: Any) -> None:
    """Keep one streamed chunk until a client reads it."""
    running = QueueItem.objects.filter(
        endpoint_slug=slug, pk=id, status__in=WAITING_OR_RUNNING
    )
    if running.update(is_stream=True):
        QueueChunk.objects.create(item_id=id, output=output)


def drain_chunks(item: QueueItem) -> list[Any]:
    """Return the chunks not read yet, and forget them."""
    with transaction.atomic():
        chunks = list(item.chunks.all()[:1000])
        item.chunks.filter(pk__in=[chunk.pk for chunk in chunks]).delete()
    return [chunk.output for chunk in chunks]


def cancel(slug: str, id: str) -> None:
    """End a waiting item, or a running one and have its worker stopped."""
    with transaction.atomic():
        here = QueueItem.objects.filter(endpoint_slug=slug, pk=id)
        ended = here.filter(status=QueueItem.Status.IN_QUEUE).update(
            status=QueueItem.Status.CANCELLED, ended_at=now()
        ) or here.filter(status=QueueItem.Status.IN_PROGRESS).update(
            status=QueueItem.Status.CANCELLED, ended_at=now(), is_stop_wanted=True
        )
        if ended:
            nudge.queue_item(id)


def retry(slug: str, id: str) -> bool:
    """Queue a failed or timed out item again; its old output is dropped."""
    return bool(
        QueueItem.objects.filter(
            endpoint_slug=slug,
            pk=id,
            status__in=[QueueItem.Status.FAILED, QueueItem.Status.TIMED_OUT],
        ).update(
            status=QueueItem.Status.IN_QUEUE,
            output=None,
            has_output=False,
            error=None,
            ended_at=None,
            worker_id="",
            deliveries=0,
        )
    )


def purge(slug: str) -> int:
    """Forget the waiting items of an endpoint; running ones go on."""
    waiting = QueueItem.objects.filter(
        endpoint_slug=slug, status=QueueItem.Status.IN_QUEUE
    )
    return waiting.delete()[1].get("jobs.QueueItem", 0)


def stops_for(worker_id: str) -> list[str]:
    """Return the ids that this worker must stop, each of them once."""
    wanted = QueueItem.objects.filter(worker_id=worker_id, is_stop_wanted=True)
    return [
        id
        for id in wanted.values_list("pk", flat=True)
        if QueueItem.objects.filter(pk=id, is_stop_wanted=True).update(
            is_stop_wanted=False
        )
    ]


def renew(worker_id: str, ids: list[str]) -> None:
    """Extend the leases of the items a worker says it is at."""
    _held(worker_id).filter(pk__in=ids).update(
        lease_until=now() + timedelta(seconds=conf.ITEM_LEASE_SECONDS)
    )


def trust_until_timeout(worker_id: str) -> None:
    """Let a worker that never pings keep its items until their execution time-out."""
    for item in _held(worker_id):
        _held(worker_id).filter(pk=item.pk).update(lease_until=_deadline(item))


def shorten_leases(worker_id: str) -> None:
    """A worker seems dead: give up on it soon, unless it is heard of again."""
    soon = now() + timedelta(seconds=conf.ITEM_GONE_SECONDS)
    _held(worker_id).filter(lease_until__gt=soon).update(lease_until=soon)


def release(worker_id: str) -> None:
    """The worker says it has nothing: what it was given got lost on the way."""
    for item in _held(worker_id):
        _give_up(item)


def expire(at: datetime) -> None:
    """End, requeue and forget what is over at the time `at`. Called by a sweep."""
    running = QueueItem.objects.filter(status=QueueItem.Status.IN_PROGRESS)
    for item in running.filter(lease_until__lte=at):
        if _deadline(item) > at:
            _give_up(item)
    for item in running.defer("input", "output"):
        if _deadline(item) <= at:
            _end(
                item,
                QueueItem.Status.TIMED_OUT,
                "job timed out: over its execution time",
            )
    old = at - timedelta(seconds=conf.ITEM_RESULT_SECONDS)
    QueueItem.objects.filter(Q(expires_at__lte=at) | Q(ended_at__lte=old)).delete()


def busy_workers(queue: str) -> set[str]:
    """Return the ids of the workers that hold an item of this queue."""
    held = QueueItem.objects.filter(queue=queue, status=QueueItem.Status.IN_PROGRESS)
    return set(held.values_list("worker_id", flat=True))


def counts(slug: str) -> dict[str, int]:
    """Return an endpoint's counts of items by RunPod's names."""
    rows = QueueItem.objects.filter(endpoint_slug=slug).values_list("status")
    by_status = dict(rows.annotate(n=Count("pk")).order_by())
    return {
        "completed": by_status.get(QueueItem.Status.COMPLETED, 0),
        "failed": by_status.get(QueueItem.Status.FAILED, 0)
        + by_status.get(QueueItem.Status.TIMED_OUT, 0),
        "inProgress": by_status.get(QueueItem.Status.IN_PROGRESS, 0),
        "inQueue": by_status.get(QueueItem.Status.IN_QUEUE, 0),
        "retried": QueueItem.objects.filter(
            endpoint_slug=slug, deliveries__gt=1
        ).count(),
    }


def _give_up(item: QueueItem) -> None:
    """Redeliver an item whose worker is lost, once; then fail it, as RunPod does."""
    if item.deliveries < conf.ITEM_MAX_DELIVERIES:
        QueueItem.objects.filter(
            pk=item.pk, status=QueueItem.Status.IN_PROGRESS, deliveries=item.deliveries
        ).update(status=QueueItem.Status.IN_QUEUE, worker_id="", lease_until=None)
        return
    _end(
        item,
        QueueItem.Status.FAILED,
        f"job timed out after {item.deliveries - 1} retries",
    )


def _end(item: QueueItem, status: QueueItem.Status, error: str) -> None:
    with transaction.atomic():
        ended = QueueItem.objects.filter(
            pk=item.pk, status=QueueItem.Status.IN_PROGRESS, deliveries=item.deliveries
        ).update(status=status, error=error, ended_at=now(), is_stop_wanted=True)
        if ended:
            nudge.queue_item(item.pk)


def _held(worker_id: str) -> Any:
    return QueueItem.objects.filter(
        worker_id=worker_id, status=QueueItem.Status.IN_PROGRESS
    )


def _deadline(item: QueueItem) -> datetime:
    limit = _milliseconds(
        item.policy.get("executionTimeout"), DEFAULT_EXECUTION_TIMEOUT
    )
    return (item.taken_at or item.created_at) + timedelta(milliseconds=limit)


def _milliseconds(value: object, default: int) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else default
