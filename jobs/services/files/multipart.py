"""Uploads that go to the bucket in parts; we sign, list and complete them."""

from dataclasses import dataclass
from datetime import timedelta

from django.utils.timezone import now

from jobs.lib import conf
from jobs.lib.errors import Conflict, InvalidInput, Problem
from jobs.models import Upload
from jobs.services.files import uploads
from jobs.storage import S3, BadParts, NoSuchMultipart, Part, bucket


@dataclass(frozen=True)
class PartLink:
    """The URL for one part, and its exact size in bytes."""

    number: int
    size: int
    url: str


def links(upload: Upload, numbers: list[int]) -> list[PartLink]:
    """Return links for parts of an unfinished upload, valid for an hour."""
    _check_open(upload)
    most = conf.PARTS_SIGNED_AT_ONCE
    if not 0 < len(numbers) <= most:
        raise InvalidInput(Problem("/numbers", f"Name 1 to {most} parts."))
    wrong = [n for n in numbers if not 1 <= n <= upload.part_count]
    if wrong:
        text = f"This upload has parts 1 to {upload.part_count}."
        raise InvalidInput(Problem("/numbers", text))
    _live_on(upload)
    lives = timedelta(seconds=conf.PART_LINK_SECONDS)
    store = bucket()
    return [
        PartLink(
            number,
            size := upload.size_of_part(number),
            store.part_link(upload.key, upload.multipart_id, number, size, lives),
        )
        for number in dict.fromkeys(numbers)
    ]


def arrived(upload: Upload) -> list[Part]:
    """Return the parts that the bucket has completely, according to the bucket."""
    if upload.status != Upload.Status.UPLOADING or upload.store != S3:
        return []
    try:
        parts = bucket().parts(upload.key, upload.multipart_id)
    except NoSuchMultipart:
        _finish_if_whole(upload)
        return []
    whole = [part for part in parts if _is_whole(upload, part)]
    Upload.objects.filter(pk=upload.pk, status=Upload.Status.UPLOADING).update(
        received=sum(part.size for part in whole)
    )
    return whole


def complete(upload: Upload) -> None:
    """Combine the parts into one file. Safe to repeat, even concurrently.

    Raise `Conflict` naming the missing parts; those that arrived are kept.
    """
    if upload.is_whole:
        return
    _check_open(upload)
    try:
        parts = bucket().parts(upload.key, upload.multipart_id)
        whole = {part.number: part for part in parts if _is_whole(upload, part)}
        missing = [n for n in range(1, upload.part_count + 1) if n not in whole]
        if missing:
            numbers = ", ".join(map(str, missing[:10])) + (", …" * (len(missing) > 10))
            raise Conflict(
                f"Parts are missing or have the wrong size: {numbers}. Send them, then "
                "complete again.",
                code="parts_missing",
            )
        bucket().complete(
            upload.key, upload.multipart_id, [whole[n] for n in sorted(whole)]
        )
    except NoSuchMultipart:
        pass  # completed by a call whose answer was lost: the file decides
    except BadParts as error:
        bucket().abort(upload.key, upload.multipart_id)
        uploads.reject(upload, f"{error} Upload it again.")
    _finish_if_whole(upload)
    upload.refresh_from_db()
    if upload.status == Upload.Status.UPLOADING:
        uploads.reject(upload, "The bucket no longer has this upload. Upload it again.")
    if upload.status == Upload.Status.REJECTED:
        raise Conflict(upload.problem, code="rejected")


def _finish_if_whole(upload: Upload) -> None:
    size = bucket().size(upload.key)
    if size == upload.size:
        uploads.finish(upload)
    elif size:
        uploads.reject(upload, f"The bucket has {size} bytes, not {upload.size}.")


def _is_whole(upload: Upload, part: Part) -> bool:
    in_range = 1 <= part.number <= upload.part_count
    return in_range and part.size == upload.size_of_part(part.number)


def _check_open(upload: Upload) -> None:
    if upload.store != S3:
        raise Conflict("This upload goes to its tus URL, not in parts.", code="tus")
    if upload.status == Upload.Status.REJECTED:
        raise Conflict(upload.problem or "This upload was rejected.", code="rejected")
    if upload.status != Upload.Status.UPLOADING:
        raise Conflict("This upload is finished.", code="finished")


def _live_on(upload: Upload) -> None:
    later = now() + timedelta(seconds=conf.UPLOAD_EXPIRES_SECONDS)
    Upload.objects.filter(pk=upload.pk, status=Upload.Status.UPLOADING).update(
        expires_at=later
    )
