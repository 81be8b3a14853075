"""Pages about batches: list, one batch with its counts and failures."""

import json
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobs.models import Batch, Job, Upload
from jobs.services.batching import batch_json
from jobs.services.batching import batches as service
from jobs.services.files import references
from jobs.states import ACTIVE, FAILURES, JobStatus

PAGE, ITEMS = 25, 50
SHOWN = 160
STATUSES = {
    "failed": FAILURES,
    "completed": [JobStatus.COMPLETED],
    "active": ACTIVE,
    "cancelled": [JobStatus.CANCELLED],
}


@require_safe
@login_required
def batch_list(request: HttpRequest) -> HttpResponse:
    """List batches, newest first, with what became of each."""
    page = Paginator(_visible(request), PAGE).get_page(request.GET.get("page"))
    counted = batch_json.counts(list(page.object_list))
    rows = [(batch, _shown(batch, counted[batch.pk])) for batch in page.object_list]
    return render(request, "batches/list.html", {"page": page, "rows": rows})


@require_safe
@login_required
def batch(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """Show one batch; the page keeps itself up to date."""
    return render(request, "batches/batch.html", _context(_one(request, batch_id)))


@require_safe
@login_required
def batch_fragment(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """Return the part of the page that changes."""
    return render(request, "batches/_batch.html", _context(_one(request, batch_id)))


@login_required
@require_POST
def cancel(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """Begin no more items, and stop those on their way."""
    batch = _one(request, batch_id)
    service.request_cancel(batch)
    return redirect("batch", batch_id=batch.pk)


@login_required
@require_POST
def retry_failed(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """Run the items again that have no result; with a `code` those that failed so."""
    batch = _one(request, batch_id)
    only = None
    if "code" in request.POST:
        names = ("code", "signature")
        only = {f"error_{name}": request.POST.get(name, "") for name in names}
    count = service.retry_failed(batch, only)
    text = f"{count:,} items run again." if count else "No item is to be run again."
    messages.success(request, text)
    return redirect("batch", batch_id=batch.pk)


@require_safe
@login_required
def item_list(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """List the items that are jobs, in their order, of one kind or all."""
    batch = _one(request, batch_id)
    kind, cause = request.GET.get("kind", ""), request.GET.get("cause", "")
    items = batch.jobs.filter(is_replaced=False, deleting_at=None)
    if kind in STATUSES:
        items = items.filter(status__in=STATUSES[kind])
    if cause:
        items = items.filter(error_signature=cause)
    rows = Paginator(items.order_by("batch_index"), ITEMS)
    page = rows.get_page(request.GET.get("page"))
    filters = {"kind": kind, "cause": cause}
    context = {
        "batch": batch,
        "page": page,
        "rows": list(zip(page, _inputs(list(page)), strict=True)),
        "kinds": STATUSES,
        "query": urlencode({name: value for name, value in filters.items() if value}),
        **filters,
    }
    return render(request, "batches/items.html", context)


def _inputs(jobs: list[Job]) -> list[str]:
    """Return the inputs in a few words each, with the names of their files."""
    named = {pk for job in jobs for pk in references.uploads_of(job.input)}
    names = Upload.objects.in_bulk(list(named))
    texts = []
    for job in jobs:
        text = json.dumps(job.input, ensure_ascii=False)[:SHOWN]
        for pk in references.uploads_of(job.input):
            if pk in names:
                text = text.replace(f"upload:{pk}", names[pk].filename)
        texts.append(text)
    return texts


def _visible(request: HttpRequest) -> Any:
    seen = Batch.objects.visible_to(request.user)
    return seen.select_related("endpoint", "owner", "completion")


def _one(request: HttpRequest, batch_id: UUID) -> Batch:
    batch: Batch = get_object_or_404(_visible(request), pk=batch_id)
    return batch


def _context(batch: Batch) -> dict[str, Any]:
    counted = batch_json.counts([batch])[batch.pk]
    jobs = batch.jobs.filter(is_replaced=False).select_related("endpoint", "owner")
    return {
        "batch": batch,
        "failures": batch_json.failures(batch),
        "again": batch_json.retryable(batch),
        "speed": batch_json.speed(batch, counted),
        "newest": jobs.order_by("-id")[:10],
        **_shown(batch, counted),
    }


def _shown(batch: Batch, counted: Any) -> dict[str, Any]:
    """Return the status, and (kind, number, share in per cent, tone) of each kind."""
    tones = {
        "completed": "good",
        "active": "busy",
        "failed": "bad",
        "cancelled": "quiet",
        "waiting": "wait",
    }
    parts = [
        (kind, counted[kind], 100 * counted[kind] / max(1, batch.total), tone)
        for kind, tone in tones.items()
    ]
    status = batch_json.status_of(batch, counted)
    return {
        "status": status,
        "label": status.replace("_", " ").capitalize(),
        "counts": counted,
        "parts": parts,
        "done": batch.total - counted["active"] - counted["waiting"],
    }
