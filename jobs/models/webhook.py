"""Webhooks: who is notified about jobs, each message, and each try to send it.

The messages follow Standard Webhooks 1.0 (standardwebhooks.com).
"""

from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from jobs.lib import links
from jobs.models.event import JobEvent
from jobs.models.ids import new_id
from jobs.models.job import Job
from jobs.states import JobStatus

# The event type for a job's new status.
EVENT_TYPES = {
    JobStatus.PENDING: "job.queued",
    JobStatus.IN_PROGRESS: "job.started",
    JobStatus.COMPLETED: "job.completed",
    JobStatus.FAILED: "job.failed",
    JobStatus.CANCELLED: "job.cancelled",
    JobStatus.TIMED_OUT: "job.timed_out",
}
END_TYPES = tuple(EVENT_TYPES.values())[2:]
# The event type for a batch's end, by its status.
BATCH_TYPES = {
    "COMPLETED": "batch.completed",
    "COMPLETED_WITH_FAILURES": "batch.completed_with_failures",
    "CANCELLED": "batch.cancelled",
    "ENQUEUE_FAILED": "batch.failed",
    "TIMED_OUT": "batch.failed",
}
# Problems that the operator must know about; sent only to webhooks of staff.
ALERT_TYPES = ("alert.raised", "alert.resolved")
ALL_TYPES = (
    *EVENT_TYPES.values(),
    *dict.fromkeys(BATCH_TYPES.values()),
    *ALERT_TYPES,
)
TEST_TYPE = "webhook.test"
OLD_SECRET_LIVES = timedelta(days=1)


class WebhookQuerySet(models.QuerySet["Webhook"]):
    """The shared filters."""

    def visible_to(self, user: Any) -> Self:
        """Select the webhooks of `user`, without the row for URLs that jobs name."""
        return self.filter(owner=user).exclude(url="")


class Webhook(models.Model):
    """A URL that receives events of its owner's jobs.

    A row with an empty `url` represents the URLs that jobs name themselves: it holds
    the secret and the deliveries of all of them.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="webhooks"
    )
    url = models.CharField(max_length=2000, blank=True)
    description = models.CharField(max_length=80, blank=True)
    events = models.JSONField(default=list, blank=True, help_text="Empty: all.")
    is_active = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    secret_version = models.PositiveIntegerField(default=1)
    rotated_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner"], name="webhook_of_jobs_once", condition=Q(url="")
            ),
        ]

    def __str__(self) -> str:
        return self.url or "webhooks of jobs"

    @classmethod
    def of_jobs(cls, owner_id: int) -> "Webhook":
        """Return the row that represents the URLs named by a user's jobs."""
        return cls.objects.get_or_create(owner_id=owner_id, url="")[0]

    def wants(self, event_type: str) -> bool:
        """Whether the webhook subscribes to this event type."""
        return not self.events or event_type in self.events

    @property
    def secret(self) -> str:
        """The newest secret; derived from SECRET_KEY and never stored."""
        return links.webhook_secret(self.pk.hex, self.secret_version)

    @property
    def secrets(self) -> list[str]:
        """The secrets that sign messages; for a day after a rotation, the old one too."""
        secrets = [self.secret]
        if self.rotated_at and self.rotated_at > now() - OLD_SECRET_LIVES:
            secrets.append(links.webhook_secret(self.pk.hex, self.secret_version - 1))
        return secrets


class Delivery(models.Model):
    """One message to one receiver. Its id stays the same on every try."""

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(JobEvent, models.SET_NULL, null=True, related_name="+")
    job = models.ForeignKey(Job, models.SET_NULL, null=True, related_name="deliveries")
    url = models.CharField(max_length=2000)
    event_type = models.CharField(max_length=40)
    body = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, default=now)
    created_at = models.DateTimeField(default=now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            # An event is announced once, however often that is attempted.
            models.UniqueConstraint(fields=["webhook", "event"], name="delivery_once"),
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                name="delivery_due",
                condition=Q(due_at__isnull=False),
            ),
            models.Index(fields=["webhook", "-id"], name="delivery_newest"),
            models.Index(fields=["created_at"], name="delivery_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} to {self.url}"

    @property
    def message_id(self) -> str:
        """The id by which the receiver knows the message."""
        return f"msg_{self.id.hex}"


class DeliveryTry(models.Model):
    """One try and its outcome."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="log")
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField(default=now)
    seconds = models.FloatField()
    status_code = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(blank=True, help_text="The beginning of the body.")
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.error or str(self.status_code)
