"""Batches: accept many items, make jobs of them a few at a time, end after the last.

Only a limited number of items are jobs at a time, so a batch of any size puts the same
load on the queue and its other users. `feed` may be repeated and may die at any line:
the next item and its job are written in one transaction.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as field_of
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now

from jobs.lib import conf
from jobs.models import Batch, BatchChunk, Endpoint, Job
from jobs.services.batching import batch_inputs, batch_json, enqueuing, overflow
from jobs.services.files import references
from jobs.services.lifecycle import jobs as single
from jobs.services.lifecycle import release
from jobs.services.lifecycle.batch_envelope import PAYLOAD
from jobs.services.money import budgets
from jobs.services.notifications import webhooks
from jobs.states import ACTIVE, NOT_COMPLETED, Actor, JobStatus

logger = logging.getLogger(__name__)
AT_ONCE = 200
FILE_DELETED = "A file of this item was deleted before its turn came."
Json = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """The options of a submitter, with the names of `Batch`."""

    name: str = ""
    metadata: Json = field_of(default_factory=dict)
    priority: int = Job.Priority.NORMAL
    workers: int | None = None
    batch_size: int | None = None
    config: Json = field_of(default_factory=dict)
    max_attempts: int | None = None
    timeout_seconds: int | None = None
    has_completion: bool = False

    def fields(self) -> Json:
        """Return the options as fields of a `Batch`."""
        fields = dict(vars(self))
        workers = fields.pop("workers")
        return {**fields, "in_flight": in_flight(workers)}


@dataclass(frozen=True)
class _Row:
    """An item to turn into a job; with a `problem`, into a failed one."""

    index: int
    input: Any
    endpoint: Endpoint
    problem: str = ""
    source_job: Job | None = None


# --- accept ---------------------------------------------------------------------------
def create(
    *,
    owner: Any,
    endpoint: Endpoint,
    options: Options,
    items: list[Any] | None = None,
    source: Json | None = None,
    api_key_id: int | None = None,
) -> Batch:
    """Accept a batch. The next `feed` makes its first jobs.

    Pass `items` from `batch_inputs.inputs_of`, or a `source` from `item_sources.check`.
    """
    batch_inputs.check_endpoint(endpoint)
    items = items or []
    budgets.check(
        owner=owner, api_key_id=api_key_id, endpoint=endpoint, jobs=max(1, len(items))
    )
    with transaction.atomic():
        batch = Batch.objects.create(
            owner=owner,
            api_key_id=api_key_id,
            endpoint=endpoint,
            **options.fields(),
            total=len(items),
            source=source or {},
            enqueued_at=None if source else now(),
        )
        BatchChunk.objects.bulk_create(
            BatchChunk(
                batch=batch, first_index=start, items=items[start : start + AT_ONCE]
            )
            for start in range(0, len(items), AT_ONCE)
        )
        references.keep(items)
        if source:
            enqueuing.begin(batch)
    return batch


def in_flight(workers: int | None) -> int:
    """Return how many jobs may be in flight when `workers` are requested."""
    return int(min(workers or conf.BATCH_IN_FLIGHT, conf.BATCH_IN_FLIGHT))


# --- make jobs ------------------------------------------------------------------------
def feed() -> None:
    """Advance every open batch: read its items, make jobs, cancel, end it."""
    related = ("endpoint__overflow", "owner", "completion")
    for batch in Batch.objects.open().select_related(*related):
        try:
            _bring_on(batch)
        except Exception:
            logger.exception("batch=%s cannot go on", batch.pk)  # try the others


def _bring_on(batch: Batch) -> None:
    if batch.deadline and batch.deadline <= now():
        _time_out(batch)
    if batch.cancel_requested_at:
        _cancel_some(batch)
    else:
        enqueuing.go_on_if_due(batch)
        _retry_some(batch)
        if batch.endpoint.is_active and batch.next_index < batch.total:
            _make_jobs(batch)
    if batch.is_all_jobs:
        _end_if_done(batch)


def _make_jobs(batch: Batch) -> None:
    room, start = _room(batch), batch.next_index
    chunk = batch.chunks.filter(first_index__lte=start).last() if room > 0 else None
    if chunk is None:
        return
    places = overflow.places(batch, min(room, AT_ONCE))
    if not places:
        return
    skipped = start - chunk.first_index
    items = chunk.items[skipped:][: len(places)]
    rows = [
        _Row(start + at, item, place, chunk.problems.get(str(skipped + at), ""))
        for at, (item, place) in enumerate(zip(items, places, strict=False))
    ]
    after = start + len(rows)
    with transaction.atomic():
        here = Batch.objects.filter(pk=batch.pk, next_index=start)
        if not here.filter(cancel_requested_at=None).update(next_index=after):
            return  # another process was first
        _write(batch, rows)
        if after == chunk.first_index + len(chunk.items):
            chunk.delete()
    batch.next_index = after


def _write(batch: Batch, rows: list[_Row]) -> None:
    turn = _turns(batch)
    jobs = [
        Job(
            owner=batch.owner,
            api_key_id=batch.api_key_id,
            endpoint=row.endpoint,
            batch=batch,
            batch_index=row.index,
            input=row.input,
            metadata=batch.metadata,
            priority=batch.priority,
            turn=turn(row.endpoint),
            source_job=row.source_job,
        )
        for row in rows
    ]
    missing = single.write(jobs)
    for job, row in zip(jobs, rows, strict=True):
        is_file_deleted = job.pk in missing and not row.source_job
        problem = row.problem or (FILE_DELETED if is_file_deleted else "")
        if problem:
            job.advance(
                JobStatus.FAILED,
                by=Actor.SUBMITTER,
                error_code=batch_json.BAD_ITEM,
                error_message=problem,
            )


def _turns(batch: Batch) -> Callable[[Endpoint], int]:
    """Return a function that gives each next job at an endpoint its turn."""
    after: dict[int, int] = {}

    def turn(endpoint: Endpoint) -> int:
        if endpoint.pk not in after:
            next_turn = release.next_turn(endpoint, batch.owner, batch.priority)
            after[endpoint.pk] = next_turn - 1
        after[endpoint.pk] += 1
        return after[endpoint.pk]

    return turn


# --- cancel, retry --------------------------------------------------------------------
def request_cancel(batch: Batch) -> None:
    """Stop making jobs of a batch, and cancel those that exist."""
    rows = Batch.objects.filter(pk=batch.pk, ended_at=None, cancel_requested_at=None)
    rows.update(cancel_requested_at=now(), retry_requested_at=None)
    batch.refresh_from_db()


def _time_out(batch: Batch) -> None:
    rows = Batch.objects.filter(pk=batch.pk, ended_at=None, cancel_requested_at=None)
    stopped = {"cancel_requested_at": now(), "retry_requested_at": None}
    if rows.update(is_timed_out=True, **stopped):
        batch.refresh_from_db(fields=["cancel_requested_at", "is_timed_out"])


def _cancel_some(batch: Batch) -> None:
    running = batch.jobs.filter(status__in=ACTIVE, cancel_requested_at=None)
    for job in running.select_related("endpoint")[:AT_ONCE]:
        single.request_cancel(job)


def retry_failed(batch: Batch, only: dict[str, str] | None = None) -> int:
    """Run the items without a result again, or those of one `FailureGroup`.

    Return how many: the first ones start immediately, the rest as there is room. A
    cancelled batch also continues with the items it had not started, without its time
    limit. Items with unusable input stay as they are.
    """
    with transaction.atomic():
        here = _locked(batch)
        batch.retry_requested_at, batch.retry_only = now(), only or {}
        count = _to_retry(batch).count()
        at = batch.retry_requested_at if count else None
        here.update(retry_requested_at=at, retry_only=batch.retry_only)
        _reopen(here, has_items=bool(count))
    batch.refresh_from_db()
    _retry_some(batch)
    batch.refresh_from_db()
    return count


def _to_retry(batch: Batch) -> QuerySet[Job]:
    failed = batch.jobs.filter(
        is_replaced=False, status__in=NOT_COMPLETED, **batch.retry_only
    )
    ended = failed.filter(finished_at__lte=batch.retry_requested_at)
    return ended.exclude(error_code=batch_json.BAD_ITEM)


def _retry_some(batch: Batch) -> None:
    """Write new jobs for failed items, as many as may be in flight."""
    room = min(_room(batch), AT_ONCE)
    if batch.retry_requested_at is None or room <= 0:
        return
    with transaction.atomic():
        here = _locked(batch).filter(retry_requested_at=batch.retry_requested_at)
        failed = _to_retry(batch).select_related("endpoint").order_by("batch_index")
        if not here.exists():
            return  # another process was first
        jobs = list(failed[:room])
        if len(jobs) < room:
            here.update(retry_requested_at=None)
            batch.retry_requested_at = None
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(is_replaced=True)
        rows = [
            _Row(job.batch_index or 0, job.input, job.endpoint, source_job=job)
            for job in jobs
        ]
        _write(batch, rows)


def _room(batch: Batch) -> int:
    """Return how many more jobs of the batch may be active."""
    active = batch.jobs.filter(status__in=ACTIVE, is_replaced=False).count()
    return batch.in_flight - active


def _reopen(here: QuerySet[Batch], *, has_items: bool) -> None:
    """Open a batch again; repeat its completion job only if that one failed."""
    batch = here.select_related("completion").get()
    again = batch.completion and batch.completion.status in NOT_COMPLETED
    goes_on = batch.cancel_requested_at is not None
    if has_items or again or goes_on:
        changes: Json = {}
        if again:
            changes = {"completion": None, "has_completion": True}
        if goes_on:
            changes |= {"timeout_seconds": None, "is_timed_out": False}
        here.update(ended_at=None, cancel_requested_at=None, **changes)


# --- end ------------------------------------------------------------------------------
def _end_if_done(batch: Batch) -> None:
    """End a batch whose jobs have all ended, and announce that once."""
    if batch.jobs.filter(status__in=ACTIVE).exists():
        return
    with transaction.atomic():
        here = _locked(batch).filter(next_index=batch.next_index, ended_at=None)
        # Check again under the lock: failed items may have been run again since.
        if batch.jobs.filter(status__in=ACTIVE).exists():
            return
        batch.refresh_from_db()
        if not batch.is_all_jobs:
            return
        if _wants_completion(batch):
            _complete(batch)
            return
        if not here.update(ended_at=now()):
            return
        batch.refresh_from_db()
        counted = batch_json.counts([batch])[batch.pk]
        shown = batch_json.batch_json(batch, counted)
        status = batch_json.status_of(batch, counted)
        webhooks.announce_batch(batch.owner, status, shown)


def _wants_completion(batch: Batch) -> bool:
    is_stopped = batch.cancel_requested_at or batch.enqueue_error
    return batch.has_completion and not is_stopped


def _complete(batch: Batch) -> None:
    """Make the completion job, which runs after all items; the batch's row is locked.

    It does not count as an item. Its empty payload distinguishes it from all other
    jobs.
    """
    job = Job(
        owner=batch.owner,
        endpoint=batch.endpoint,
        batch=batch,
        is_replaced=True,
        input={PAYLOAD: []},
        metadata=batch.metadata,
        priority=batch.priority,
        turn=release.next_turn(batch.endpoint, batch.owner, batch.priority),
    )
    single.write([job])
    Batch.objects.filter(pk=batch.pk).update(completion=job, has_completion=False)


def _locked(batch: Batch) -> QuerySet[Batch]:
    """Return the batch's row, locked until the transaction ends."""
    here = Batch.objects.filter(pk=batch.pk)
    here.select_for_update().get()
    return here
