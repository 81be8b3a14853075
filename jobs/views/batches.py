"""Pages about batches: list, one batch with its counts and failures."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobs.models import Batch
from jobs.services import batch_json
from jobs.services import batches as service

PAGE = 25


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
    found = _one(request, batch_id)
    service.request_cancel(found)
    return redirect("batch", batch_id=found.pk)


@login_required
@require_POST
def retry_failed(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """Run the items again that have no result."""
    found = _one(request, batch_id)
    count = service.retry_failed(found)
    text = f"{count:,} items run again." if count else "No item has failed."
    messages.success(request, text)
    return redirect("batch", batch_id=found.pk)


def _visible(request: HttpRequest) -> Any:
    seen = Batch.objects.visible_to(request.user)
    return seen.select_related("endpoint", "owner", "completion")


def _one(request: HttpRequest, batch_id: UUID) -> Batch:
    found: Batch = get_object_or_404(_visible(request), pk=batch_id)
    return found


def _context(found: Batch) -> dict[str, Any]:
    counted = batch_json.counts([found])[found.pk]
    return {
        "batch": found,
        "failures": batch_json.failures(found),
        "newest": found.jobs.filter(is_replaced=False).select_related(
            "endpoint", "owner"
        )[:10],
        **_shown(found, counted),
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
