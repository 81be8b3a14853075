"""Moves files between our disk and the bucket, one complete file at a time.

A file is copied and compared, then its row names the new store, then the old copy is
deleted. After a crash the row still names a complete file, and the next run continues.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.db.models import Count, Exists, OuterRef, Sum

from jobs.models import Artifact, Job, Upload
from jobs.states import ACTIVE, ENDS
from jobs.storage import LOCAL, S3, store


@dataclass(frozen=True)
class Moved:
    """A file that was moved, or the problem that prevented it."""

    name: str
    size: int
    problem: str = ""


def count(to: str) -> tuple[int, int]:
    """Return (files, bytes) to move to the store `to`."""
    source = _other(to)
    totals = [
        rows.aggregate(files=Count("pk"), bytes=Sum("size"))
        for rows in (_uploads(source), _artifacts(source))
    ]
    return sum(one["files"] for one in totals), sum(one["bytes"] or 0 for one in totals)


def move(to: str) -> Iterator[Moved]:
    """Move every file that is not in use right now; yield each."""
    source = _other(to)
    for row in chain(_uploads(to).iterator(), _artifacts(to).iterator()):
        if store(source).size(row.key):  # left by a run that died before deleting it
            store(source).delete(row.key)
    for rows in (_uploads(source), _artifacts(source)):
        for row in rows.iterator():
            yield _move(row, source, to)


def _move(row: Any, source: str, to: str) -> Moved:
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for piece in store(source).chunks(row.key, 0, row.size):
            digest.update(piece)
            yield piece

    size = store(to).save(row.key, pieces())
    if size != row.size or row.sha256 not in {"", digest.hexdigest()}:
        store(to).delete(row.key)
        text = "The stored file differs from what was received, so it was not moved."
        return Moved(str(row), row.size, text)
    still_there = type(row).objects.filter(pk=row.pk, store=source)
    if still_there.update(store=to):
        store(source).delete(row.key)
    else:
        store(to).delete(row.key)
    return Moved(str(row), row.size)


def _uploads(where: str) -> Any:
    """Return ready uploads; in a bucket, only those that no active job links to."""
    uploads = Upload.objects.filter(store=where, status=Upload.Status.READY, size__gt=0)
    if where == S3:
        users = Job.objects.filter(uploads=OuterRef("pk"), status__in=ACTIVE)
        uploads = uploads.filter(~Exists(users))
    return uploads.order_by("pk")


def _artifacts(where: str) -> Any:
    return Artifact.objects.filter(
        store=where, multipart_id="", attempt__job__status__in=ENDS
    ).order_by("pk")


def _other(to: str) -> str:
    return LOCAL if to == S3 else S3
