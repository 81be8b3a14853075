"""Uploads from the first byte to `ready`: open, finish, verify, expire.

Bytes arrive as a stream on our disk (tus) or in parts in the bucket (`multipart`). Both
end in `finish`.
"""

import hashlib
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils.timezone import now

from jobs.lib import conf, nudge
from jobs.lib.errors import Conflict
from jobs.models import Batch, Lease, Upload
from jobs.services.files import content_types, filenames, image_sizes, quotas
from jobs.states import ACTIVE
from jobs.storage import LOCAL, S3, StoreError, bucket, current_name, local, store

logger = logging.getLogger(__name__)
MIB = 1024 * 1024


def open_upload(
    *,
    owner: Any,
    filename: str,
    size: int,
    sha256: str = "",
    fingerprint: str = "",
    to: str = "",
) -> Upload:
    """Open an upload of exactly `size` bytes in store `to`, or in the default store.

    `sha256` is the client's promise; a file with another hash is rejected. Raise
    `TooLarge` or `NoSpace`.
    """
    # A bucket cannot take an empty file in parts.
    name = (to or current_name()) if size else LOCAL
    quotas.check(owner, size, store(name))
    upload = Upload(
        owner=owner,
        filename=filenames.clean(filename),
        size=size,
        store=name,
        declared_sha256=sha256.lower(),
        fingerprint=fingerprint,
    )
    if name == S3:
        upload.multipart_id = bucket().begin(upload.key)
        upload.part_size = part_size(size)
    upload.save(force_insert=True)
    if size == 0:
        local().save(upload.key, [])
        finish(upload)
    return upload


def part_size(size: int) -> int:
    """Return the size of all parts but the last: at most 10,000 parts, equal for R2."""
    least = -(-size // conf.PART_MAX_COUNT)
    return max(int(conf.PART_MIN_BYTES), int(-(-least // MIB)) * MIB)


def known(owner: Any, *, size: int, sha256: str) -> Upload | None:
    """Return a ready file of `owner` with the same content, unless it expires soon."""
    same = Upload.objects.filter(owner=owner, sha256=sha256.lower(), size=size)
    soon = now() + timedelta(seconds=conf.KNOWN_MARGIN_SECONDS)
    stays = same.filter(
        Q(expires_at=None) | Q(expires_at__gt=soon), status=Upload.Status.READY
    )
    return stays.order_by("-created_at").first() if sha256 else None


def may_be_known(owner: Any, *, size: int, fingerprint: str) -> bool:
    """Whether the file may be known, so that hashing all of it is worth the time."""
    same = Upload.objects.filter(owner=owner, fingerprint=fingerprint, size=size)
    return bool(fingerprint) and same.filter(status=Upload.Status.READY).exists()


def unfinished(owner: Any, *, size: int, fingerprint: str) -> Upload | None:
    """Return the newest unfinished upload of the same file."""
    same = Upload.objects.filter(owner=owner, fingerprint=fingerprint, size=size)
    matches = same.filter(status=Upload.Status.UPLOADING).order_by("-created_at")
    return matches.first() if fingerprint else None


def finish(upload: Upload) -> None:
    """Detect the type of a completely received file, and start its verification.

    Small files are verified immediately, large ones by a Celery task. A job that needs
    the file waits for it.
    """
    head = b"".join(
        store(upload.store).chunks(
            upload.key, 0, min(upload.size, content_types.HEAD_BYTES)
        )
    )
    moved = upload.advance(
        Upload.Status.VERIFYING,
        received=upload.size,
        multipart_id="",
        content_type=content_types.sniff(head),
        expires_at=now() + timedelta(seconds=conf.UPLOAD_EXPIRES_SECONDS),
    )
    if moved and upload.size <= conf.VERIFY_INLINE_BYTES:
        verify(upload)
    elif moved:
        with transaction.atomic():
            nudge.upload(upload.pk)


def finish_if_whole(upload: Upload) -> None:
    """Finish an upload whose last writer died after writing the last byte."""
    is_stream = upload.status == Upload.Status.UPLOADING and upload.store == LOCAL
    if is_stream and upload.unchecked_from is None:
        is_here = upload.size == 0 or local().size(upload.key) == upload.size
        if is_here:
            finish(upload)


def verify(upload: Upload) -> None:
    """Hash a complete upload and mark it ready. Does nothing in any other status.

    A large file takes minutes, so a lease lets only one process do it.
    """
    if upload.status != Upload.Status.VERIFYING:
        return
    if upload.size <= conf.VERIFY_INLINE_BYTES:
        _verify(upload, lambda: None)
        return
    with Lease.held(f"verify-{upload.pk.hex}") as lease:
        if lease:
            _verify(upload, lease.keep)


def _verify(upload: Upload, going_on: Callable[[], object]) -> None:
    kept = store(upload.store)
    if kept.size(upload.key) != upload.size:
        reject(upload, "The stored file is incomplete. Upload it again.")
        return
    problem = _refused(upload)
    if problem:
        reject(upload, problem)
        return
    is_hashed = upload.store == LOCAL or upload.size <= conf.BUCKET_HASH_MAX_BYTES
    sha256 = _sha256(upload, going_on) if is_hashed else ""
    promised = upload.declared_sha256
    if promised and sha256 and promised != sha256:
        reject(upload, "The file does not match its SHA-256. Upload it again.")
        return
    upload.advance(Upload.Status.READY, sha256=sha256, ready_at=now())


def reject(upload: Upload, problem: str) -> None:
    """Record why a file is unusable, and delete its bytes."""
    if upload.advance(Upload.Status.REJECTED, problem=problem[:200]):
        store(upload.store).delete(upload.key)


def _sha256(upload: Upload, going_on: Callable[[], object]) -> str:
    digest = hashlib.sha256()
    for piece in store(upload.store).chunks(upload.key, 0, upload.size):
        digest.update(piece)
        going_on()
    return digest.hexdigest()


def _refused(upload: Upload) -> str:
    """Return why this installation refuses such a file, or an empty string."""
    types = conf.UPLOAD_TYPES
    if upload.size and types and not content_types.is_any(upload.content_type, types):
        kind = content_types.words_for(upload.content_type)
        return f"{upload.filename} is {kind}, which is not accepted here."
    if upload.content_type.startswith("image/"):
        start = store(upload.store).chunks(
            upload.key, 0, min(upload.size, image_sizes.HEAD_BYTES)
        )
        pixels = image_sizes.pixels(b"".join(start))
        if pixels > conf.IMAGE_MAX_PIXELS:
            millions = conf.IMAGE_MAX_PIXELS // 1_000_000
            return f"{upload.filename} has more than {millions} million pixels."
    return ""


def take_over(upload: Upload) -> int:
    """Become the newest writer of an upload; the previous one stops when it notices."""
    Upload.objects.filter(pk=upload.pk).update(writer_no=F("writer_no") + 1)
    upload.refresh_from_db(fields=["writer_no", "unchecked_from"])
    return upload.writer_no


def is_newest_writer(upload: Upload, number: int) -> bool:
    """Whether no newer writer took over, and the upload is still open."""
    return Upload.objects.filter(
        pk=upload.pk, writer_no=number, status=Upload.Status.UPLOADING
    ).exists()


def note_received(upload: Upload, offset: int) -> None:
    """Record the offset for display; the file on disk is the truth."""
    later = now() + timedelta(seconds=conf.UPLOAD_EXPIRES_SECONDS)
    Upload.objects.filter(pk=upload.pk, status=Upload.Status.UPLOADING).update(
        received=offset, expires_at=later
    )


def note_unchecked(upload: Upload, offset: int | None) -> None:
    """Record where bytes with an unverified checksum begin; None if there are none."""
    Upload.objects.filter(pk=upload.pk).update(unchecked_from=offset)
    upload.unchecked_from = offset


def received(upload: Upload) -> int:
    """Return how many bytes of a stream count: all but those not yet verified."""
    size = min(local().size(upload.key), upload.size)
    return size if upload.unchecked_from is None else min(size, upload.unchecked_from)


def delete(upload: Upload) -> None:
    """Delete an upload: first its bytes, then its row."""
    if upload.multipart_id:
        bucket().abort(upload.key, upload.multipart_id)
    store(upload.store).delete(upload.key)
    upload.delete()


def discard(upload: Upload) -> None:
    """Delete an upload for its owner; raise `Conflict` while a job may need it."""
    if upload.jobs.filter(status__in=ACTIVE).exists():
        text = f"An active job needs {upload.filename}."
        raise Conflict(text, code="in_use")
    if Batch.objects.filter(source__upload=str(upload.pk), enqueued_at=None).exists():
        text = f"A batch is reading its items from {upload.filename}."
        raise Conflict(text, code="in_use")
    delete(upload)


def _verify_soon(upload: Upload) -> None:
    """Verify small files here, large ones in a task, so that others need not wait."""
    if upload.size <= conf.VERIFY_INLINE_BYTES:
        verify(upload)
    else:
        nudge.upload(upload.pk)


def sweep() -> None:
    """Verify what was left over, and delete uploads that were not finished or used."""
    due: list[tuple[Any, Callable[[Upload], None]]] = [
        (Q(status=Upload.Status.UPLOADING, store=LOCAL), finish_if_whole),
        (Q(status=Upload.Status.VERIFYING), _verify_soon),
        (Q(expires_at__lte=now()), delete),
    ]
    for which, step in due:
        for upload in Upload.objects.filter(which)[:1000]:
            try:
                step(upload)
            except StoreError as error:
                logger.warning("upload=%s waits: %s", upload.pk, error)
