"""An event: one recorded move of a job. Never changed."""

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from jobs.models.job import Job
from jobs.states import Actor, JobStatus


class JobEvent(models.Model):
    """One move: an entry of the page's timeline, and of the outbox of webhooks."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")
    old_status = models.CharField(max_length=12, choices=JobStatus, blank=True)
    new_status = models.CharField(max_length=12, choices=JobStatus)
    actor = models.CharField(max_length=10, choices=Actor)
    attempt_no = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)
    is_announced = models.BooleanField(
        default=False, help_text="Messages for all webhooks have been written."
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["id"],
                name="event_unannounced",
                condition=Q(is_announced=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.old_status or 'new'} → {self.new_status}"
