"""A batch: many inputs for one endpoint, submitted at once.

It stores no status: its progress is counted from its jobs. Items that are not yet jobs
wait in chunks and become jobs a few at a time (`services.batching.batches`).
"""

from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from jobs.models.api_key import ApiKey
from jobs.models.endpoint import Endpoint
from jobs.models.ids import new_id


class BatchQuerySet(models.QuerySet["Batch"]):
    """The shared filters."""

    def visible_to(self, user: Any) -> Self:
        """Select only what `user` may see."""
        return self if user.is_staff else self.filter(owner=user)

    def open(self) -> Self:
        """Select the batches that have not ended."""
        return self.filter(ended_at=None)


class Batch(models.Model):
    """A named set of jobs, and the position in the items that are not yet jobs."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="batches"
    )
    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="batches")
    api_key = models.ForeignKey(
        ApiKey, models.SET_NULL, null=True, editable=False, related_name="batches"
    )
    cost = models.DecimalField(
        max_digits=14,
        decimal_places=6,
        default=0,
        editable=False,
        help_text="US dollars, of the jobs that have ended.",
    )
    name = models.CharField(max_length=80, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    priority = models.SmallIntegerField(default=1)
    in_flight = models.PositiveIntegerField(
        help_text="How many of its jobs may be on their way at a time."
    )
    batch_size = models.PositiveIntegerField(
        null=True, help_text="Items in one job's `payload`. Blank: a job is one item."
    )
    config = models.JSONField(
        default=dict, blank=True, help_text="Wins over the endpoint's own."
    )
    max_attempts = models.PositiveSmallIntegerField(
        null=True, help_text="Of each job, whatever its error. Blank: the endpoint's."
    )
    timeout_seconds = models.PositiveIntegerField(
        null=True, help_text="From its creation on; what has not ended then is stopped."
    )
    total = models.PositiveIntegerField(
        default=0, help_text="Jobs, as far as the source has been read."
    )
    next_index = models.PositiveIntegerField(
        default=0, help_text="Those before this one have been made."
    )
    # Reading items that did not come with the request (services.batching.enqueuing).
    source = models.JSONField(default=dict, blank=True, editable=False)
    cursor = models.JSONField(default=dict, blank=True, editable=False)
    enqueued_at = models.DateTimeField(null=True, blank=True, editable=False)
    enqueue_due_at = models.DateTimeField(null=True, default=now, editable=False)
    enqueue_tries = models.PositiveSmallIntegerField(default=0, editable=False)
    enqueue_error = models.CharField(max_length=500, blank=True, editable=False)
    # A job of its own that runs once after all items have ended, as Cortex handlers
    # expect. `has_completion`: it has not been created yet.
    has_completion = models.BooleanField(default=False)
    completion = models.ForeignKey(
        "jobs.Job", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    # A request to run failed items again, a few at a time: those that ended before it.
    retry_requested_at = models.DateTimeField(null=True, blank=True, editable=False)
    retry_only = models.JSONField(default=dict, blank=True, editable=False)
    is_timed_out = models.BooleanField(default=False, editable=False)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = BatchQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "batches"
        indexes = [
            models.Index(
                fields=["id"], name="batch_open", condition=Q(ended_at__isnull=True)
            ),
            models.Index(fields=["owner", "-id"], name="batch_owner_newest"),
        ]

    def __str__(self) -> str:
        return self.name or str(self.id)

    @property
    def is_all_jobs(self) -> bool:
        """Whether no item is left to read, to turn into a job or to run again."""
        if self.cancel_requested_at is not None:
            return True
        is_read = self.enqueued_at is not None and self.next_index >= self.total
        return is_read and self.retry_requested_at is None

    @property
    def deadline(self) -> datetime | None:
        """When the batch is stopped, whatever its progress."""
        if self.timeout_seconds is None:
            return None
        return self.created_at + timedelta(seconds=self.timeout_seconds)


class BatchChunk(models.Model):
    """Some items of a batch until they become jobs."""

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="chunks")
    first_index = models.PositiveIntegerField()
    items = models.JSONField()
    problems = models.JSONField(
        default=dict, help_text="{place in items: why it cannot become a job}"
    )

    class Meta:
        ordering = ["first_index"]
        constraints = [
            models.UniqueConstraint(
                fields=["batch", "first_index"], name="batch_chunk_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id} from {self.first_index}"
