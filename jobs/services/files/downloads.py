"""Signed links to files, and the files behind them."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.http import content_disposition_header

from jobs.lib import links
from jobs.lib.errors import NotFound
from jobs.models import Artifact, Upload
from jobs.services.files.content_types import PREVIEWABLE, UNKNOWN
from jobs.storage import Served, bucket, store

PERSON = timedelta(hours=1)
DIRECT = timedelta(minutes=5)  # a link to the bucket, created on click


@dataclass(frozen=True)
class StoredFile:
    """A complete file in a store."""

    store: str
    key: str
    name: str
    size: int
    content_type: str
    etag: str

    @property
    def is_previewable(self) -> bool:
        """Whether a browser may show it in place."""
        return self.content_type in PREVIEWABLE

    @property
    def served(self) -> Served:
        """The headers that prevent it from ever running as a page of ours."""
        inline = self.is_previewable
        return Served(
            content_type=self.content_type if inline else UNKNOWN,
            content_disposition=content_disposition_header(
                as_attachment=not inline, filename=self.name
            )
            or "",
        )


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
            return _of_upload(upload)
    artifact = (
        Artifact.objects.filter(pk=UUID(id)).first() if kind == "artifact" else None
    )
    if artifact is None:
        raise NotFound("This file no longer exists.")
    return StoredFile(
        artifact.store,
        artifact.key,
        artifact.name,
        artifact.size,
        artifact.content_type,
        artifact.sha256,
    )


def direct_url(stored: StoredFile, lives: timedelta = DIRECT) -> str:
    """Return a link to the bucket itself; empty for a file on our disk."""
    return store(stored.store).link(stored.key, stored.served, lives)


def for_worker(upload: Upload, lives: timedelta) -> str:
    """Return a link for a GPU worker: the bucket's own link, or ours, valid as long."""
    direct = direct_url(_of_upload(upload), lives)
    if direct:
        return direct
    signed = links.sign(links.FILE, f"upload.{upload.pk.hex}", lives=lives)
    return f"{settings.PUBLIC_URL}{reverse('file', kwargs={'signed': signed})}"


def bucket_url() -> str:
    """Return the base URL of links into the bucket; empty without a bucket."""
    if not settings.S3_BUCKET:
        return ""
    link = urlsplit(bucket().link("_", Served("", ""), DIRECT))
    return f"{link.scheme}://{link.netloc}"


def _of_upload(upload: Upload) -> StoredFile:
    return StoredFile(
        upload.store,
        upload.key,
        upload.filename,
        upload.size,
        upload.content_type,
        upload.sha256 or upload.pk.hex,
    )
