"""An artifact: a file that a job produced."""

from django.db import models
from django.utils.timezone import now

from jobs.models.attempt import Attempt
from jobs.models.ids import new_id


class Artifact(models.Model):
    """One whole file in the store, as measured when its last byte came in."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="artifacts")
    name = models.CharField(max_length=200)
    content_type = models.CharField(max_length=120)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    key = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        ordering = ["created_at", "name"]
        constraints = [
            models.UniqueConstraint(fields=["attempt", "name"], name="artifact_once"),
        ]

    def __str__(self) -> str:
        return self.name
