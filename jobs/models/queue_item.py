"""What RunPod would hold for a job, when we act as RunPod. Knows nothing of jobs."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.timezone import now


def new_item_id() -> str:
    """Return an id in RunPod's format: a UUID and the region, here `l1` for local."""
    return f"{uuid.uuid4()}-l1"


class QueueItem(models.Model):
    """A job as an endpoint holds it. Only `local_endpoint.queue` writes it."""

    class Status(models.TextChoices):
        IN_QUEUE = "IN_QUEUE"
        IN_PROGRESS = "IN_PROGRESS"
        COMPLETED = "COMPLETED"
        FAILED = "FAILED"
        CANCELLED = "CANCELLED"
        TIMED_OUT = "TIMED_OUT"

    id = models.CharField(primary_key=True, max_length=64, default=new_item_id)
    endpoint_slug = models.SlugField(max_length=60)
    queue = models.SlugField(max_length=60)
    status = models.CharField(max_length=12, choices=Status, default=Status.IN_QUEUE)
    input = models.JSONField()
    webhook = models.TextField(blank=True)
    policy = models.JSONField(default=dict)
    output = models.JSONField(null=True)
    has_output = models.BooleanField(default=False)
    error = models.JSONField(null=True)
    is_stream = models.BooleanField(default=False)
    worker_id = models.CharField(max_length=128, blank=True)
    deliveries = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    is_stop_wanted = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=now)
    taken_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(help_text="ttl; after it the item is gone.")

    class Meta:
        ordering = ["created_at"]
        indexes = [
            # Takes: the oldest waiting item of a queue.
            models.Index(
                fields=["queue", "created_at"],
                name="item_waiting",
                condition=Q(status="IN_QUEUE"),
            ),
            # Leases, stops and pings of one worker.
            models.Index(
                fields=["worker_id"],
                name="item_held",
                condition=Q(status="IN_PROGRESS"),
            ),
            models.Index(
                fields=["worker_id"],
                name="item_to_stop",
                condition=Q(is_stop_wanted=True),
            ),
            models.Index(
                fields=["endpoint_slug", "status"], name="item_endpoint_status"
            ),
            models.Index(fields=["expires_at"], name="item_expiry"),
        ]

    def __str__(self) -> str:
        return self.id


class QueueChunk(models.Model):
    """One streamed chunk of an item. Reading deletes it, as on RunPod."""

    item = models.ForeignKey(QueueItem, models.CASCADE, related_name="chunks")
    output = models.JSONField(null=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.item_id} #{self.pk}"


class LocalWorker(models.Model):
    """A worker that takes items from a local queue, with its last known state."""

    id = models.CharField(primary_key=True, max_length=128)
    queue = models.SlugField(max_length=60)
    first_seen_at = models.DateTimeField(default=now)
    last_seen_at = models.DateTimeField(default=now)
    gone_at = models.DateTimeField(null=True, blank=True)
    has_pinged = models.BooleanField(default=False)
    is_draining = models.BooleanField(
        default=False, help_text="It asked to stop (refresh_worker) or was told to."
    )
    sdk_version = models.CharField(max_length=20, blank=True)
    unhealthy_reason = models.CharField(max_length=256, blank=True)

    class Meta:
        ordering = ["-last_seen_at"]

    def __str__(self) -> str:
        return self.id
