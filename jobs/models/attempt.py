"""An attempt: one try of a job at a backend. It records and decides nothing."""

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from jobs.models.ids import new_id
from jobs.models.job import Job


class Attempt(models.Model):
    """What one try was sent and what it answered, in RunPod's own words."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    job = models.ForeignKey(Job, models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    runpod_id = models.CharField(max_length=128, blank=True, db_index=True)
    created_at = models.DateTimeField(default=now, editable=False)
    claimed_at = models.DateTimeField(null=True, blank=True)
    rung_at = models.DateTimeField(null=True, blank=True, help_text="Last webhook.")
    ended_at = models.DateTimeField(null=True, blank=True)
    is_unwanted = models.BooleanField(
        default=False,
        help_text="Another attempt won; RunPod is asked to stop this one.",
    )
    worker_id = models.CharField(max_length=128, blank=True)
    raw_status = models.CharField(max_length=40, blank=True)
    raw_error = models.TextField(blank=True)
    has_output = models.BooleanField(default=False)
    manifest = models.JSONField(null=True, blank=True)
    notes = models.JSONField(
        default=list, blank=True, help_text="What of its output could not be saved."
    )
    delay_ms = models.BigIntegerField(null=True, blank=True)
    execution_ms = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_once"),
        ]
        indexes = [
            # Losing attempts that RunPod must still stop.
            models.Index(
                fields=["is_unwanted"],
                name="attempt_unwanted",
                condition=Q(is_unwanted=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} attempt {self.number}"
