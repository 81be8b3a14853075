"""Batches: accept many items, make jobs of them a few at a time, count what became of them.

Only as many items are jobs as may be on their way, so a batch of any size costs the
queue, and everybody else in it, the same. `feed` may be repeated and may die at any
line: the next item and its job are written together.
"""

import logging
from collections import Counter
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Left
from django.urls import reverse
from django.utils.timezone import now

from jobs import conf
from jobs.errors import Conflict, InvalidInput, Problem, TooLarge
from jobs.models import Batch, BatchChunk, Endpoint, Job, JobEvent, Upload
from jobs.services import inputs, release, webhooks
from jobs.services import jobs as single
from jobs.states import ACTIVE, Actor, JobStatus

logger = logging.getLogger(__name__)
S = JobStatus
FAILED = (S.FAILED, S.TIMED_OUT)
AGAIN = (*FAILED, S.CANCELLED)
AT_ONCE = 200
KINDS = ("waiting", "active", "completed", "failed", "cancelled", "deleted")


# --- accept ---------------------------------------------------------------------------
def check(endpoint: Endpoint, items: list[Any], *, owner: Any) -> None:
    """Raise `InvalidInput` with the place of every mistake, `TooLarge` or `Conflict`."""
    if not endpoint.is_active:
        text = f"{endpoint.title} takes no new jobs now."
        raise Conflict(text, code="endpoint_paused")
    if len(items) > conf.BATCH_MAX_ITEMS:
        most = conf.BATCH_MAX_ITEMS
        raise TooLarge(f"{len(items):,} items; at most {most:,} fit in one request.")
    files = inputs.files_of(items, owner=owner)
    problems: list[Problem] = []
    for index, item in enumerate(items):
        try:
            inputs.check(endpoint, item, files)
        except InvalidInput as error:
            problems += [
                Problem(_place(index, one.pointer), one.message, one.code)
                for one in error.problems
            ]
        if len(problems) > 100:
            break
    if problems:
        raise InvalidInput(*problems)


def _place(index: int, pointer: str) -> str:
    return f"/items/{index}{pointer.removeprefix('/input')}"


def create(
    *,
    owner: Any,
    endpoint: Endpoint,
    items: list[dict[str, Any]],
    name: str = "",
    metadata: dict[str, Any] | None = None,
    priority: int = Job.Priority.NORMAL,
    workers: int | None = None,
) -> Batch:
    """Accept a batch; its first jobs are made by the next `feed`. Raises as `check`."""
    check(endpoint, items, owner=owner)
    named = {pk for item in items for pk in inputs.uploads_of(item)}
    with transaction.atomic():
        batch = Batch.objects.create(
            owner=owner,
            endpoint=endpoint,
            name=name,
            metadata=metadata or {},
            priority=priority,
            in_flight=in_flight(workers),
            total=len(items),
        )
        BatchChunk.objects.bulk_create(
            BatchChunk(
                batch=batch, first_index=start, items=items[start : start + AT_ONCE]
            )
            for start in range(0, len(items), AT_ONCE)
        )
        # Files that items need no longer expire with the unfinished ones.
        Upload.objects.filter(pk__in=named).update(expires_at=None)
    return batch


def in_flight(workers: int | None) -> int:
    """Return how many jobs may be on their way, when `workers` are asked for."""
    return int(min(workers or conf.BATCH_IN_FLIGHT, conf.BATCH_IN_FLIGHT))


# --- make jobs ------------------------------------------------------------------------
def feed() -> None:
    """Bring every open batch on: make jobs, cancel, end."""
    for batch in Batch.objects.open().select_related("endpoint", "owner"):
        try:
            _bring_on(batch)
        except Exception:
            logger.exception("batch=%s cannot go on", batch.pk)  # the others can


def _bring_on(batch: Batch) -> None:
    if batch.cancel_requested_at:
        _cancel_some(batch)
    elif batch.endpoint.is_active and not batch.is_all_jobs:
        _make_jobs(batch)
    if batch.is_all_jobs:
        _end_if_done(batch)


def _make_jobs(batch: Batch) -> None:
    active = batch.jobs.filter(status__in=ACTIVE).count()
    room, start = batch.in_flight - active, batch.next_index
    chunk = batch.chunks.filter(first_index__lte=start).last() if room > 0 else None
    if chunk is None:
        return
    items = chunk.items[start - chunk.first_index :][:room]
    after = start + len(items)
    with transaction.atomic():
        here = Batch.objects.filter(pk=batch.pk, next_index=start)
        if not here.filter(cancel_requested_at=None).update(next_index=after):
            return  # somebody else was first
        _write(batch, list(enumerate(items, start=start)))
        if after == chunk.first_index + len(chunk.items):
            chunk.delete()
    batch.next_index = after


def _write(
    batch: Batch, items: list[tuple[int, Any]], sources: dict[int, Job] | None = None
) -> None:
    """Write jobs for (index, input) pairs, with their events and files."""
    turn = release.next_turn(batch.endpoint, batch.owner, batch.priority)
    jobs = [
        Job(
            owner=batch.owner,
            endpoint=batch.endpoint,
            batch=batch,
            batch_index=index,
            input=input,
            metadata=batch.metadata,
            priority=batch.priority,
            turn=turn + number,
            source_job=(sources or {}).get(index),
        )
        for number, (index, input) in enumerate(items)
    ]
    Job.objects.bulk_create(jobs)
    JobEvent.objects.bulk_create(
        JobEvent(job=job, new_status=job.status, actor=Actor.USER) for job in jobs
    )
    named = {job.pk: inputs.uploads_of(job.input) for job in jobs}
    there = Upload.objects.in_bulk([pk for pks in named.values() for pk in pks])
    Job.uploads.through.objects.bulk_create(
        Job.uploads.through(job_id=pk, upload_id=upload)
        for pk, uploads in named.items()
        for upload in set(uploads) & set(there)
    )


# --- cancel, retry, end ---------------------------------------------------------------
def request_cancel(batch: Batch) -> None:
    """Make no more jobs of a batch, and ask for the end of those there are."""
    rows = Batch.objects.filter(pk=batch.pk, ended_at=None, cancel_requested_at=None)
    rows.update(cancel_requested_at=now())
    batch.refresh_from_db()


def _cancel_some(batch: Batch) -> None:
    running = batch.jobs.filter(status__in=ACTIVE, cancel_requested_at=None)
    for job in running.select_related("endpoint")[:AT_ONCE]:
        single.request_cancel(job)


def retry_failed(batch: Batch) -> int:
    """Run the items again that have no result; return how many.

    A cancelled batch goes on with the items that it had not begun.
    """
    count, found = 0, AT_ONCE
    while found == AT_ONCE:
        found = _retry_some(batch)
        count += found
    batch.refresh_from_db()
    return count


def _retry_some(batch: Batch) -> int:
    with transaction.atomic():
        here = _locked(batch)
        failed = batch.jobs.filter(is_replaced=False, status__in=AGAIN)
        some = list(failed.order_by("batch_index")[:AT_ONCE])
        Job.objects.filter(pk__in=[job.pk for job in some]).update(is_replaced=True)
        here.update(ended_at=None, cancel_requested_at=None)
        pairs = [(job.batch_index or 0, job.input) for job in some]
        _write(batch, pairs, {job.batch_index or 0: job for job in some})
    return len(some)


def _end_if_done(batch: Batch) -> None:
    """End a batch whose jobs all have; its webhooks are told once."""
    if batch.jobs.filter(status__in=ACTIVE).exists():
        return
    with transaction.atomic():
        here = _locked(batch).filter(next_index=batch.next_index, ended_at=None)
        # Once more: somebody may have run failed items again since.
        if batch.jobs.filter(status__in=ACTIVE).exists():
            return
        if not here.update(ended_at=now()):
            return
        batch.refresh_from_db()
        counted = counts([batch])[batch.pk]
        shown = batch_json(batch, counted)
        webhooks.announce_batch(batch.owner, status_of(batch, counted), shown)


def _locked(batch: Batch) -> QuerySet[Batch]:
    """Return the batch's row, which nobody else changes until the transaction ends."""
    here = Batch.objects.filter(pk=batch.pk)
    here.select_for_update().get()
    return here


# --- count ----------------------------------------------------------------------------
def counts(batches: list[Batch]) -> dict[Any, Counter[str]]:
    """Return {batch id: how many items are where}, in one query for all."""
    found: dict[Any, Counter[str]] = {
        one.pk: Counter(waiting=one.total - one.next_index) for one in batches
    }
    rows = Job.objects.filter(batch__in=found, is_replaced=False).order_by()
    for pk, status, count in rows.values_list("batch", "status").annotate(Count("pk")):
        found[pk][_kind(status)] += count
    for one in batches:
        counted = found[one.pk]
        counted["deleted"] = one.total - counted.total()
        if one.cancel_requested_at:
            # What was never begun is cancelled with the rest.
            counted["cancelled"] += counted.pop("waiting")
    return found


def _kind(status: str) -> str:
    if status in ACTIVE:
        return "active"
    if status in FAILED:
        return "failed"
    return "completed" if status == S.COMPLETED else "cancelled"


def status_of(batch: Batch, counted: Counter[str]) -> str:
    """Return a batch's status in one word, from its counts."""
    if counted["active"] or counted["waiting"]:
        if batch.cancel_requested_at:
            return "CANCELLING"
        return "RUNNING" if counted["waiting"] < batch.total else "PENDING"
    if batch.cancel_requested_at or counted["cancelled"] == batch.total:
        return "CANCELLED"
    has_failures = counted["failed"] or counted["cancelled"]
    return "COMPLETED_WITH_FAILURES" if has_failures else "COMPLETED"


def batch_json(
    batch: Batch, counted: Counter[str], *, base: str = settings.PUBLIC_URL
) -> dict[str, Any]:
    """Return a batch as the API and webhooks show it."""
    path = reverse("api:read_batch", kwargs={"batch_id": batch.pk})
    url = f"{base}{path}"
    return {
        "id": str(batch.pk),
        "endpoint": batch.endpoint.slug,
        "name": batch.name,
        "status": status_of(batch, counted),
        "total": batch.total,
        "counts": {kind: counted[kind] for kind in KINDS},
        "metadata": batch.metadata,
        "workers": batch.in_flight,
        "cancel_requested": batch.cancel_requested_at is not None,
        "created_at": batch.created_at,
        "ended_at": batch.ended_at,
        "urls": {
            "self": url,
            "items": f"{url}/items",
            "cancel": f"{url}/cancel",
            "retry_failed": f"{url}/retry_failed",
            "web": f"{base}{reverse('batch', kwargs={'batch_id': batch.pk})}",
        },
    }


def failures(batch: Batch) -> list[tuple[str, str, int]]:
    """Return (code, message, how many) of its failed items, the most frequent first."""
    failed = batch.jobs.filter(is_replaced=False, status__in=FAILED).order_by()
    message = Left("error_message", 200)
    rows = failed.values_list("error_code", message).annotate(number=Count("pk"))
    return list(rows.order_by("-number", "error_code")[:20])
