"""Read the items of a batch from their source, some at a time.

Items are stored in chunks together with the read position, in one transaction, so a
reader may die at any line. Jobs are made from the first chunks while later ones are
still being read. Memory use does not depend on the size of the source.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.timezone import now

from jobs.lib import conf, nudge
from jobs.lib.errors import InvalidInput, TooLarge
from jobs.lib.item_readers import TEXT_KEPT, Unreadable
from jobs.models import Batch, BatchChunk, Endpoint, HeldLease, Lease, Upload
from jobs.services.batching import batch_inputs, item_sources
from jobs.services.batching.item_sources import Item
from jobs.services.files import references
from jobs.services.lifecycle import inputs
from jobs.services.lifecycle.batch_envelope import PAYLOAD
from jobs.storage import StoreError

logger = logging.getLogger(__name__)
CHUNK_ITEMS = 200
CHUNK_BYTES = 1024 * 1024
TASK_SECONDS = 20.0
DUE_SECONDS = 30
KEEP = timedelta(days=7)
Json = dict[str, Any]


@dataclass
class Chunk:
    """Job inputs that were read, the problems of some, and where to continue."""

    items: list[Any] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    cursor: Json = field(default_factory=dict)
    size: int = 0

    def add(self, input: Any, cursor: Json, problem: str = "") -> None:
        """Add one job's input."""
        if problem:
            self.problems[str(len(self.items))] = problem
        self.items.append(input)
        self.cursor = cursor
        self.size += len(str(input))

    @property
    def usable(self) -> list[Any]:
        """The inputs without problems: only these may keep uploads from expiring."""
        numbered = enumerate(self.items)
        return [input for at, input in numbered if str(at) not in self.problems]

    @property
    def is_full(self) -> bool:
        """Whether the next input belongs in the next chunk."""
        return len(self.items) >= CHUNK_ITEMS or self.size >= CHUNK_BYTES


def begin(batch: Batch) -> None:
    """Start reading a new batch; keep its source file until that is done."""
    _source_file(batch).update(expires_at=None)
    nudge.enqueue(batch.pk)


def go_on_if_due(batch: Batch) -> None:
    """Nudge the reader of a batch if its last reader seems to have stopped."""
    at = now()
    if batch.enqueued_at or not batch.enqueue_due_at or batch.enqueue_due_at > at:
        return
    due = Batch.objects.filter(pk=batch.pk, enqueue_due_at=batch.enqueue_due_at)
    if due.update(enqueue_due_at=at + timedelta(seconds=DUE_SECONDS)):
        nudge.enqueue(batch.pk)


def enqueue(pk: UUID) -> None:
    """Read some of a batch's items, unless another process does."""
    here = Batch.objects.filter(pk=pk, enqueued_at=None, cancel_requested_at=None)

    def keep() -> None:
        here.update(enqueue_due_at=now() + timedelta(seconds=DUE_SECONDS))

    with Lease.held(f"batch {pk.hex}", on_renewal=keep) as lease:
        batch = here.select_related("endpoint", "owner").first() if lease else None
        if lease and batch:
            _try(batch, lease)


def _try(batch: Batch, lease: HeldLease) -> None:
    # Count first, so that a source that crashes its reader is given up as well.
    row = Batch.objects.filter(pk=batch.pk)
    row.update(enqueue_tries=F("enqueue_tries") + 1)
    if batch.enqueue_tries >= conf.BATCH_READ_TRIES:
        _end(batch, batch.enqueue_error or "The items could not be read.")
        return
    try:
        is_over = _read(batch, lease)
    except Unreadable as error:
        _end(batch, str(error))
    except StoreError as error:
        logger.warning("batch=%s will be read later: %s", batch.pk, error)
        due = now() + timedelta(seconds=conf.BATCH_READ_PAUSE_SECONDS)
        row.update(enqueue_error=str(error)[:500], enqueue_due_at=due)
    else:
        if not is_over:
            nudge.enqueue(batch.pk)


def _read(batch: Batch, lease: HeldLease) -> bool:
    """Read for some seconds; return whether reading is finished."""
    until = time.monotonic() + TASK_SECONDS
    source, cursor = batch.source, batch.cursor
    items = item_sources.read(source, cursor, batch.endpoint, lease.keep)
    for chunk in chunks(batch, items):
        lease.keep()
        if not _add(batch, chunk):
            return True  # cancelled, or another reader was first
        if time.monotonic() > until:
            return False
    _end(batch, "" if batch.total else "The source contains no items.")
    return True


def chunks(batch: Batch, items: Iterable[Item]) -> Iterator[Chunk]:
    """Yield checked inputs, some at a time."""
    chunk = Chunk()
    try:
        for input, cursor, problem in _inputs(batch, items):
            chunk.add(input, cursor, problem)
            if chunk.is_full:
                yield _checked(batch, chunk)
                chunk = Chunk()
    except (Unreadable, StoreError):
        # Keep what was read before the error.
        if chunk.items:
            yield _checked(batch, chunk)
        raise
    if chunk.items:
        yield _checked(batch, chunk)


def _inputs(batch: Batch, items: Iterable[Item]) -> Iterator[tuple[Any, Json, str]]:
    """Yield (input, cursor, problem) for each job."""
    return _grouped(batch, items) if batch.batch_size else _single(batch, items)


def _single(batch: Batch, items: Iterable[Item]) -> Iterator[tuple[Any, Json, str]]:
    for item in items:
        if item.problem:
            yield _kept(item.value, batch), item.cursor, item.problem
        else:
            job_input = item_sources.as_input(item.value, batch.source, batch.endpoint)
            yield job_input, item.cursor, ""


def _grouped(batch: Batch, items: Iterable[Item]) -> Iterator[tuple[Any, Json, str]]:
    group: list[Item] = []
    try:
        for item in items:
            # End the group before a bad item too: the item's cursor would skip the group
            # if the reader died next.
            if group and (item.problem or len(group) == batch.batch_size):
                yield _payload(batch, group)
                group = []
            if item.problem:
                yield _kept(item.value, batch), item.cursor, item.problem
            else:
                group.append(item)
    except Unreadable:
        if group:
            yield _payload(batch, group)
        raise
    if group:
        yield _payload(batch, group)


def _payload(batch: Batch, group: list[Item]) -> tuple[Any, Json, str]:
    common = batch.source.get("input") or {}
    payload = [one.value for one in group]
    return {**common, PAYLOAD: payload}, group[-1].cursor, ""


def _kept(value: Any, batch: Batch) -> Json:
    """Return what to store of an item that cannot be an input, for people to see."""
    if batch.batch_size:
        return {PAYLOAD: [str(value)[:TEXT_KEPT]]}
    return value if isinstance(value, dict) else {"text": str(value)[:TEXT_KEPT]}


def _checked(batch: Batch, chunk: Chunk) -> Chunk:
    """Record the problems of a chunk's inputs; cut those that cannot be stored."""
    endpoint: Endpoint = batch.endpoint
    files = references.files_of(chunk.items, owner=batch.owner)
    for at, input in enumerate(chunk.items):
        if str(at) in chunk.problems:
            continue
        try:
            inputs.check(endpoint, input, files)
        except InvalidInput as error:
            messages = [
                f"{p.pointer.removeprefix('/input/')}: {p.message}"
                for p in error.problems[:5]
            ]
            chunk.problems[str(at)] = " ".join(messages)
            chunk.items[at] = _storable(input, batch)
        except TooLarge as error:
            chunk.problems[str(at)] = str(error)
            chunk.items[at] = _kept(str(input), batch)
    return chunk


def _storable(input: Any, batch: Batch) -> Any:
    """Return an input unchanged, unless the database cannot store it."""
    try:
        inputs.check_storable(input)
    except InvalidInput:
        return _kept(repr(input), batch)
    return input if isinstance(input, dict) else _kept(input, batch)


def _add(batch: Batch, chunk: Chunk) -> bool:
    """Store a chunk, unless the batch has changed in the meantime."""
    number = len(chunk.items)
    here = Batch.objects.filter(pk=batch.pk, total=batch.total, enqueued_at=None)
    with transaction.atomic():
        if not here.filter(cancel_requested_at=None).update(
            total=F("total") + number,
            cursor=chunk.cursor,
            enqueue_tries=0,
            enqueue_error="",
        ):
            return False
        BatchChunk.objects.create(
            batch=batch,
            first_index=batch.total,
            items=chunk.items,
            problems=chunk.problems,
        )
        references.keep(chunk.usable)
    batch.total += number
    return True


def _end(batch: Batch, error: str) -> None:
    """Mark the batch as completely read."""
    Batch.objects.filter(pk=batch.pk, enqueued_at=None).update(
        enqueued_at=now(), enqueue_due_at=None, enqueue_error=error[:500]
    )
    _source_file(batch).update(expires_at=now() + KEEP)


def _source_file(batch: Batch) -> Any:
    named = [batch.source["upload"]] if batch.source.get("kind") == "file" else []
    return Upload.objects.filter(pk__in=named)


@dataclass(frozen=True)
class Preview:
    """The result of reading the first items; `total` is None if there are more."""

    checked: int
    total: int | None
    problems: list[tuple[int, str]]
    files: list[str]


def preview(batch: Batch) -> Preview:
    """Read the first items of an unsaved batch; raise like `item_sources.read`."""
    most = int(conf.BATCH_DRY_RUN_ITEMS)
    files: list[str] = []
    seen = 0

    def noted(items: Iterable[Item]) -> Iterator[Item]:
        nonlocal seen
        for seen, item in enumerate(islice(items, most + 1), start=1):  # noqa: B007 - read below
            if batch.source["kind"] == "listing":
                files.append(str(item.value))
            yield item

    checked, problems = 0, []
    items = item_sources.read(batch.source, {}, batch.endpoint)
    for chunk in chunks(batch, noted(items)):
        problems += [(checked + int(at), text) for at, text in chunk.problems.items()]
        checked += len(chunk.items)
    total = checked if seen <= most else None
    return Preview(checked, total, problems[: batch_inputs.PROBLEMS_TOLD], files[:most])
