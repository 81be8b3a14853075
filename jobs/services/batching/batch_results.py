"""All results of a batch in one download: JSON lines, or a zip of its files.

The download is streamed, so memory use does not depend on the size of the batch.
"""

import zipfile
from collections.abc import Iterator
from typing import Any

from django.db.models import Q
from pydantic_core import to_json

from jobs.lib.errors import TooLarge
from jobs.models import Artifact, Batch, Job
from jobs.services.files import filenames
from jobs.services.lifecycle import completion
from jobs.services.lifecycle.job_json import PREFETCHED, job_json
from jobs.states import FAILURES
from jobs.storage import StoreError, store

AT_ONCE = 50  # an input may be 8 MiB
SHOWN = ("id", "status", "input", "output", "outputs", "error", "metadata")
# Each file costs half a kilobyte of memory, because a zip ends with its directory.
MAX_FILES = 100_000
ONLY_FAILED = Q(status__in=FAILURES)
ZIP64_BYTES = 2**31


def lines(batch: Batch, *, base: str, only: Q | None = None) -> Iterator[bytes]:
    """Yield one line of JSON for each item that became a job, in item order."""
    for jobs in _jobs(batch, only or Q()):
        yield b"".join(_line(job, base) for job in jobs)


def _line(job: Job, base: str) -> bytes:
    fields = job_json(job, base=base)
    shown = {"index": job.batch_index, **{name: fields[name] for name in SHOWN}}
    return to_json({**shown, "attempts": len(fields["attempts"])}) + b"\n"


def check_archive(batch: Batch) -> None:
    """Raise `TooLarge` if the batch has too many files for one zip."""
    count = Artifact.objects.filter(attempt__job__batch=batch).count()
    if count > MAX_FILES:
        text = f"{count:,} files; a zip takes {MAX_FILES:,}."
        raise TooLarge(f"{text} results.ndjson has a link to each file.")


def archive(batch: Batch, *, base: str) -> Iterator[bytes]:
    """Yield a zip with every file as `<index>/<name>`, and `results.ndjson`."""
    sink = _Sink()
    missing: list[str] = []
    with zipfile.ZipFile(sink, "w") as packed:
        for jobs in _jobs(batch, Q()):
            for job in jobs:
                for artifact in completion.of_job(job):
                    name = f"{job.batch_index:06d}/{filenames.clean(artifact.name)}"
                    yield from _file(packed, sink, name, artifact, missing)
        yield from _written(packed, sink, "results.ndjson", lines(batch, base=base))
        if missing:
            text = "These files could not be read:\n" + "".join(missing)
            yield from _written(packed, sink, "MISSING.txt", iter([text.encode()]))
    yield sink.take()


def _file(
    packed: zipfile.ZipFile,
    sink: "_Sink",
    name: str,
    artifact: Artifact,
    missing: list[str],
) -> Iterator[bytes]:
    pieces = store(artifact.store).chunks(artifact.key, 0, artifact.size)
    try:
        first = next(pieces, b"")
    except StoreError as error:
        missing.append(f"{name}: {error}\n")
        return
    entry = zipfile.ZipInfo(name, artifact.created_at.timetuple()[:6])
    entry.external_attr = 0o644 << 16
    is_large = artifact.size >= ZIP64_BYTES
    with packed.open(entry, "w", force_zip64=is_large) as file:
        file.write(first)
        for piece in pieces:
            yield sink.take()
            file.write(piece)
    yield sink.take()


def _written(
    packed: zipfile.ZipFile, sink: "_Sink", name: str, pieces: Iterator[bytes]
) -> Iterator[bytes]:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    with packed.open(entry, "w", force_zip64=True) as file:
        for piece in pieces:
            file.write(piece)
            yield sink.take()
    yield sink.take()


class _Sink:
    """What `zipfile` writes to: an append-only file that is drained as it grows."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep the bytes until `take`."""
        self._held.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: the bytes are in memory."""

    def close(self) -> None:
        """Do nothing: there is no file."""

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = b"".join(self._held)
        self._held.clear()
        return taken


def _jobs(batch: Batch, only: Q) -> Iterator[list[Job]]:
    """Yield the jobs that stand for items, in item order, some at a time."""
    rows: Any = batch.jobs.filter(only, is_replaced=False, deleting_at=None)
    rows = rows.with_endpoint().prefetch_related(*PREFETCHED)
    after = -1
    while jobs := list(
        rows.filter(batch_index__gt=after).order_by("batch_index")[:AT_ONCE]
    ):
        yield jobs
        after = jobs[-1].batch_index or 0
