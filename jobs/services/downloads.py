"""Signed links to files, and what stands behind them."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.urls import reverse

from jobs import links
from jobs.errors import NotFound
from jobs.models import Artifact, Upload
from jobs.services.content_types import PREVIEWABLE

PERSON = timedelta(hours=1)


@dataclass(frozen=True)
class StoredFile:
    """A whole file in the store."""

    key: str
    name: str
    size: int
    content_type: str
    etag: str

    @property
    def is_previewable(self) -> bool:
        """Whether a browser may show it in place."""
        return self.content_type in PREVIEWABLE


def artifact_url(artifact: Artifact) -> str:
    """Return the path of a fresh link for a person who may see the artifact."""
    signed = links.sign(links.FILE, f"artifact.{artifact.pk.hex}", lives=PERSON)
    return reverse("file", kwargs={"signed": signed})


def upload_url(upload: Upload) -> str:
    """Return the path of a fresh link for a person who may see the upload."""
    signed = links.sign(links.FILE, f"upload.{upload.pk.hex}", lives=PERSON)
    return reverse("file", kwargs={"signed": signed})


def find(signed: str) -> StoredFile:
    """Return the file behind a link; raise `LinkRefused` or `NotFound`."""
    kind, _, id = links.read(links.FILE, signed).partition(".")
    if kind == "upload":
        upload = Upload.objects.filter(pk=UUID(id), status=Upload.Status.READY).first()
        if upload:
            return StoredFile(
                upload.key,
                upload.filename,
                upload.size,
                upload.content_type,
                upload.sha256,
            )
    artifact = (
        Artifact.objects.filter(pk=UUID(id)).first() if kind == "artifact" else None
    )
    if artifact is None:
        raise NotFound("This file is gone.")
    return StoredFile(
        artifact.key,
        artifact.name,
        artifact.size,
        artifact.content_type,
        artifact.sha256,
    )
