"""Uploads from their first byte to `ready`: open, finish, verify, expire."""

import hashlib
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Sum
from django.utils.timezone import now

from jobs import conf, nudge
from jobs.errors import NoSpace, TooLarge
from jobs.models import Upload
from jobs.services import content_types, filenames
from jobs.storage import store

S = Upload.Status


def open_upload(*, owner: Any, filename: str, size: int) -> Upload:
    """Open an upload of exactly `size` bytes; raise `TooLarge` or `NoSpace`."""
    if size > conf.UPLOAD_MAX_BYTES:
        limit = conf.UPLOAD_MAX_BYTES // 1024**3
        raise TooLarge(f"The file is larger than the limit of {limit} GiB.")
    open_bytes = Upload.objects.filter(status=S.UPLOADING).aggregate(
        left=Sum(F("size") - F("received"))
    )["left"]
    free = store().free_bytes() - conf.DISK_RESERVE_BYTES - (open_bytes or 0)
    if size > free:
        raise NoSpace("There is not enough free space on the server for this file.")
    upload = Upload.objects.create(
        owner=owner, filename=filenames.clean(filename), size=size
    )
    if size == 0:
        with store().writer(upload.key, 0):
            pass
        finish_if_whole(upload)
    return upload


def finish(upload: Upload) -> None:
    """Every byte has arrived: find out what it is, and verify it.

    Small files are verified at once; large ones by Celery, and a job that needs one
    waits for it.
    """
    head = b"".join(store().chunks(upload.key, 0, content_types.HEAD_BYTES))
    moved = upload.advance(
        S.VERIFYING,
        received=upload.size,
        content_type=content_types.sniff(head),
        expires_at=now() + timedelta(seconds=conf.UPLOAD_EXPIRES_SECONDS),
    )
    if moved and upload.size <= conf.VERIFY_INLINE_BYTES:
        verify(upload)
    elif moved:
        with transaction.atomic():
            nudge.upload(upload.pk)


def finish_if_whole(upload: Upload) -> None:
    """Finish an upload whose last writer died after the last byte."""
    is_here = upload.size == 0 or store().size(upload.key) == upload.size
    if upload.status == S.UPLOADING and is_here:
        finish(upload)


def verify(upload: Upload) -> None:
    """Hash a whole upload and call it ready. Does nothing in any other status."""
    if upload.status != S.VERIFYING:
        return
    if store().size(upload.key) != upload.size:
        upload.advance(S.REJECTED, problem="The stored file is not whole.")
        return
    digest = hashlib.sha256()
    for piece in store().chunks(upload.key, 0, upload.size):
        digest.update(piece)
    upload.advance(S.READY, sha256=digest.hexdigest(), ready_at=now())


def take_over(upload: Upload) -> int:
    """Become the newest writer of an upload; the one before stops when it notices."""
    Upload.objects.filter(pk=upload.pk).update(writer_no=F("writer_no") + 1)
    upload.refresh_from_db(fields=["writer_no"])
    return upload.writer_no


def is_newest_writer(upload: Upload, number: int) -> bool:
    """Whether nobody has taken over since, and the upload still goes on."""
    return Upload.objects.filter(
        pk=upload.pk, writer_no=number, status=S.UPLOADING
    ).exists()


def note_received(upload: Upload, offset: int) -> None:
    """Remember for people how far the file is; the disk knows better."""
    later = now() + timedelta(seconds=conf.UPLOAD_EXPIRES_SECONDS)
    Upload.objects.filter(pk=upload.pk, status=S.UPLOADING).update(
        received=offset, expires_at=later
    )


def delete(upload: Upload) -> None:
    """Forget an upload and its bytes: first the bytes, then the row."""
    store().delete(upload.key)
    upload.delete()


def sweep() -> None:
    """Verify what was left, and remove uploads that nobody finished or used."""
    for upload in Upload.objects.filter(status=S.UPLOADING)[:1000]:
        finish_if_whole(upload)
    for upload in Upload.objects.filter(status=S.VERIFYING):
        verify(upload)
    for upload in Upload.objects.filter(expires_at__lte=now())[:100]:
        delete(upload)
