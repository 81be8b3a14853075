"""An artifact: a file that a job produced."""

from django.db import models
from django.utils.timezone import now

from jobs.models.attempt import Attempt
from jobs.models.ids import new_id
from jobs.models.in_parts import InParts

FOLDER = "out/"


def artifact_key(attempt: Attempt, last: str = "") -> str:
    """Return the store key for a file of an attempt; a new one without `last`."""
    last = last or new_id().hex
    return f"{FOLDER}{attempt.job_id.hex}/{attempt.number}/{last}"


class Artifact(InParts, models.Model):
    """One file in a store, as measured when its last byte came in.

    A worker sends files for a bucket directly: then `size` and `sha256` are what the
    worker announced, until the collector has verified them.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="artifacts")
    name = models.CharField(max_length=200)
    content_type = models.CharField(max_length=120)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    store = models.CharField(max_length=10, default="local", editable=False)
    key = models.CharField(max_length=200, unique=True)
    multipart_id = models.CharField(
        max_length=1024, blank=True, help_text="The bucket's id while parts arrive."
    )
    part_size = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        ordering = ["created_at", "name"]
        constraints = [
            models.UniqueConstraint(fields=["attempt", "name"], name="artifact_once"),
        ]

    def __str__(self) -> str:
        return self.name
