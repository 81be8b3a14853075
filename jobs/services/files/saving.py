"""Saves the files that a plain endpoint's output refers to, before they expire.

URLs are fetched and base64 is decoded into our store, as streams with limits. The
attempt notes what cannot be saved; the rest of the result is kept.
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from typing import Any

import httpx
from django.conf import settings

from jobs.lib import conf, egress
from jobs.lib.egress import EgressRefused
from jobs.lib.failpoints import failpoint
from jobs.models import Artifact, Attempt, HeldLease, Job, artifact_key
from jobs.services.files import content_types, embedded_files
from jobs.services.files.embedded_files import Found
from jobs.storage import StoreFull, current_name, store

logger = logging.getLogger(__name__)
PIECE = 1024 * 1024
NAME_MAX = 120
TRY_PAUSES = (1.0, 3.0)


class NotSaved(Exception):
    """This file cannot be saved; the text says why."""


def files_of(job: Job) -> list[Found]:
    """Return the files in a job's output that are worth saving."""
    given = frozenset(value for value in _texts(job.input))
    files = embedded_files.find(job.output, skip=given)
    own = (f"{settings.PUBLIC_URL}/", f"{settings.INTERNAL_URL}/")
    return [file for file in files if not file.url.startswith(own)]


def save(job: Job, attempt: Attempt, lease: HeldLease) -> tuple[Any, list[str]]:
    """Save every file; return the output without base64, and notes on what failed.

    After a crash it starts again with the same keys, so no orphans remain. Raise
    `StoreFull` if there is no space; the job then waits.
    """
    output, notes = job.output, []
    taken: set[str] = set()
    for index, file in enumerate(files_of(job)):
        lease.keep()
        if index >= conf.COLLECT_MAX_FILES:
            notes.append(f"Only the first {conf.COLLECT_MAX_FILES} files were saved.")
            break
        try:
            name = _save_one(attempt, index, file, taken, lease)
        except NotSaved as problem:
            where = ".".join(map(str, file.path)) or "output"
            notes.append(f"{where} could not be saved: {problem}.")
            continue
        taken.add(name)
        if file.content is not None:
            output = embedded_files.replaced(output, file.path, f"output:{name}")
        failpoint("collect.fetched", job.metadata.get("mark"))
    return output, notes


def _save_one(
    attempt: Attempt, index: int, file: Found, taken: set[str], lease: HeldLease
) -> str:
    key = artifact_key(attempt, f"c{index}")
    for pause in (*TRY_PAUSES, None):
        try:
            size, sha256, head = _store(key, file, lease)
        except httpx.HTTPError as error:
            if pause is None:
                raise NotSaved(f"no answer ({type(error).__name__})") from error
            time.sleep(pause)
        except EgressRefused as refused:
            raise NotSaved(str(refused)) from refused
        else:
            break
    kind = content_types.sniff(head)
    if file.url and kind == "text/html":
        store().delete(key)
        raise NotSaved("the URL returns a web page, not a file")
    name = embedded_files.name_for(file, kind, taken)[-NAME_MAX:]
    Artifact.objects.update_or_create(
        attempt=attempt,
        name=name,
        defaults={
            "content_type": kind,
            "size": size,
            "sha256": sha256,
            "store": current_name(),
            "key": key,
        },
    )
    return name


def _store(key: str, file: Found, lease: HeldLease) -> tuple[int, str, bytes]:
    """Write one file; return (size, sha256, first bytes)."""
    measured = _Measured(_pieces(file), lease)
    store().save(key, measured)
    return measured.size, measured.digest.hexdigest(), measured.head


class _Measured:
    """The pieces of a file, measured as they pass; renews the lease meanwhile."""

    def __init__(self, pieces: Iterator[bytes], lease: HeldLease) -> None:
        self._pieces, self._lease = pieces, lease
        self.digest, self.size, self.head = hashlib.sha256(), 0, b""

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.size += len(piece)
            if self.size > conf.COLLECT_MAX_BYTES:
                raise NotSaved("it is larger than the limit")
            self.digest.update(piece)
            self.head = self.head or piece[: content_types.HEAD_BYTES]
            yield piece
            self._lease.keep()
        if not self.size:
            raise NotSaved("it is empty")


def _pieces(file: Found) -> Iterator[bytes]:
    if file.content is not None:
        yield file.content
        return
    with egress.get(file.url) as response:
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise httpx.ReadError(f"HTTP {response.status_code}")
        if response.status_code != httpx.codes.OK:
            raise NotSaved(f"the server answered {response.status_code}")
        length = int(response.headers.get("content-length") or 0)
        if length > conf.COLLECT_MAX_BYTES:
            raise NotSaved("it is larger than the limit")
        free = store().free_bytes()
        if free is not None and length > free - conf.DISK_RESERVE_BYTES:
            raise StoreFull("The disk is full.")
        came = 0
        for piece in response.iter_raw(PIECE):
            came += len(piece)
            yield piece
        if length and came < length:
            raise httpx.ReadError("the connection was lost")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
