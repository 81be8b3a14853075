"""The workers of a local queue: who was heard of, when, and who is gone.

A ping alone proves little: the SDK's ping process outlives a killed worker and goes on
naming the dead job. The held job-stop poll belongs to the worker itself, so losing that
connection marks the worker as gone until it polls again.
"""

from datetime import timedelta

from django.utils.timezone import now

from jobs.lib.redaction import redacted
from jobs.local_endpoint import queue as items
from jobs.models.queue_item import LocalWorker, QueueItem

HEARD_OF_SECONDS = 60


def polled(queue: str, worker_id: str) -> LocalWorker:
    """The worker itself asked for something, so it is alive."""
    worker, is_new = LocalWorker.objects.get_or_create(
        id=worker_id, defaults={"queue": queue}
    )
    if not is_new:
        LocalWorker.objects.filter(pk=worker_id).update(
            queue=queue, last_seen_at=now(), gone_at=None
        )
    if not worker.has_pinged:
        items.trust_until_timeout(worker_id)
    return worker


def take(queue: str, worker_id: str, count: int) -> list[QueueItem]:
    """Hand waiting items to the worker, unless it is on its way out."""
    if not items.has_waiting(queue):
        return []
    if LocalWorker.objects.filter(pk=worker_id, is_draining=True).exists():
        return []
    taken = items.take(queue, worker_id, count)
    if taken and not LocalWorker.objects.filter(pk=worker_id, has_pinged=True).exists():
        items.trust_until_timeout(worker_id)
    return taken


def pinged(queue: str, worker_id: str, ids: list[str], version: str) -> None:
    """Renew what the worker says it is at, unless only its ping process is left."""
    worker, _ = LocalWorker.objects.get_or_create(
        id=worker_id, defaults={"queue": queue}
    )
    if worker.gone_at is not None:
        return
    LocalWorker.objects.filter(pk=worker_id).update(
        last_seen_at=now(), has_pinged=True, sdk_version=version[:20]
    )
    items.renew(worker_id, ids)


def unhealthy(queue: str, worker_id: str, reason: str) -> None:
    """The worker's own fitness check failed; it exits by itself."""
    LocalWorker.objects.update_or_create(
        id=worker_id,
        defaults={
            "queue": queue,
            "unhealthy_reason": redacted(reason)[:256],
            "gone_at": now(),
        },
    )


def lost_connection(worker_id: str) -> None:
    """The peer closed a held poll: the worker died, or its network did."""
    LocalWorker.objects.filter(pk=worker_id).update(gone_at=now())
    items.shorten_leases(worker_id)


def retire(prefix: str) -> None:
    """Give up at once on workers that are known to have ended."""
    ended = LocalWorker.objects.filter(pk__startswith=prefix)
    ended.filter(gone_at=None).update(gone_at=now())
    for worker_id in ended.values_list("pk", flat=True):
        items.release(worker_id)


def drain(worker_id: str) -> None:
    """Give the worker no more items; it is about to exit."""
    LocalWorker.objects.filter(pk=worker_id).update(is_draining=True)


def counts(queue: str) -> dict[str, int]:
    """Return the worker counts by RunPod's names."""
    since = now() - timedelta(seconds=HEARD_OF_SECONDS)
    heard = LocalWorker.objects.filter(queue=queue, last_seen_at__gte=since)
    alive = set(heard.filter(gone_at=None).values_list("pk", flat=True))
    busy = items.busy_workers(queue) & alive
    return {
        "idle": len(alive - busy),
        "initializing": 0,
        "ready": len(alive - busy),
        "running": len(busy),
        "throttled": 0,
        "unhealthy": heard.exclude(unhealthy_reason="").count(),
    }


def forget_old() -> None:
    """Drop workers nobody has heard of for a day."""
    LocalWorker.objects.filter(last_seen_at__lt=now() - timedelta(days=1)).delete()
