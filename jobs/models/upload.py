"""An upload: a user's file, on its way in or ready."""

from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from jobs.lib import conf
from jobs.models.ids import new_id
from jobs.models.in_parts import InParts


def _expiry() -> Any:
    return now() + timedelta(seconds=conf.UPLOAD_EXPIRES_SECONDS)


FOLDER = "in/"


class UploadQuerySet(models.QuerySet["Upload"]):
    """The shared filters."""

    def visible_to(self, user: Any) -> Self:
        """Select only what `user` may see."""
        return self if user.is_staff else self.filter(owner=user)


class Upload(InParts, models.Model):
    """uploading → verifying → ready | rejected. `received` is a cache of the disk."""

    class Status(models.TextChoices):
        UPLOADING = "uploading", "Uploading"
        VERIFYING = "verifying", "Verifying"
        READY = "ready", "Ready"
        REJECTED = "rejected", "Rejected"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="uploads"
    )
    filename = models.CharField(
        max_length=255, help_text="Shown to people; never a path."
    )
    size = models.BigIntegerField()
    received = models.BigIntegerField(default=0)
    status = models.CharField(
        max_length=10, choices=Status, default=Status.UPLOADING, editable=False
    )
    content_type = models.CharField(max_length=120, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    problem = models.CharField(max_length=200, blank=True)
    store = models.CharField(max_length=10, default="local", editable=False)
    multipart_id = models.CharField(
        max_length=1024, blank=True, help_text="The bucket's id while parts arrive."
    )
    part_size = models.BigIntegerField(default=0)
    fingerprint = models.CharField(
        max_length=64,
        blank=True,
        help_text="What a browser knows a file by before it has read it.",
    )
    declared_sha256 = models.CharField(max_length=64, blank=True)
    unchecked_from = models.BigIntegerField(
        null=True,
        editable=False,
        help_text="Bytes from here on came with a checksum that nobody has compared yet.",
    )
    writer_no = models.BigIntegerField(
        default=0, help_text="The newest writer's number."
    )
    created_at = models.DateTimeField(default=now, editable=False)
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, default=_expiry)

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # Whether this file is already here, or part of it.
            models.Index(fields=["owner", "sha256"], name="upload_known"),
            models.Index(fields=["owner", "fingerprint"], name="upload_fingerprint"),
            # The sweep of unfinished uploads.
            models.Index(
                fields=["expires_at"],
                name="upload_expiry",
                condition=Q(expires_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.filename

    @property
    def key(self) -> str:
        """Its key in the store."""
        return f"{FOLDER}{self.id.hex}"

    @property
    def is_whole(self) -> bool:
        """Whether every byte has arrived."""
        return self.status in {self.Status.VERIFYING, self.Status.READY}

    def advance(self, to: Status, **changes: Any) -> bool:
        """Move to `to` if the row still has the status we last read."""
        source = self.status
        here = Upload.objects.filter(pk=self.pk, status=source)
        if not here.update(status=to, **changes):
            return False
        for name, value in {"status": to, **changes}.items():
            setattr(self, name, value)
        return True
