"""The page that makes a batch: its items, what they have in common, and how they run."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from jobs.batch_forms import BatchForm
from jobs.forms import InputForm
from jobs.lib.errors import InvalidInput, SlipwayError
from jobs.lib.item_readers import Unreadable
from jobs.models import Batch, Endpoint
from jobs.services.batching import batch_inputs, batches, enqueuing, item_sources
from jobs.services.lifecycle.batch_envelope import PAYLOAD

FORM = ["GET", "HEAD", "POST"]


@require_safe
@login_required
def choose(request: HttpRequest) -> HttpResponse:
    """Ask for the endpoint."""
    endpoints = list(Endpoint.objects.filter(is_active=True))
    if len(endpoints) == 1:
        return redirect("new_batch", slug=endpoints[0].slug)
    return render(request, "batches/choose.html", {"endpoints": endpoints})


@require_http_methods(FORM)
@login_required
def new_batch(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the form; make the batch, or only look what would become of it."""
    endpoint = get_object_or_404(Endpoint, slug=slug, is_active=True)
    data = request.POST if request.method == "POST" else None
    form = BatchForm(endpoint, request.user, data)
    name = PAYLOAD if form.has_payload else form.field_name
    common = InputForm(endpoint, request.user, data).without(name)
    if data is not None and form.is_valid() and common.is_valid():
        made = _make(request, form, common)
        if made:
            return redirect("batch", batch_id=made.pk)
    has_errors = bool(form.errors or common.errors)
    context = {"endpoint": endpoint, "form": form, "common": common}
    status = 422 if has_errors else 200
    return render(request, "batches/new.html", context, status=status)


def _make(request: HttpRequest, form: BatchForm, common: InputForm) -> Batch | None:
    """Return the new batch; None where there are mistakes, or it was only a look."""
    try:
        return _accept(request, form, common.job_input())
    except InvalidInput as error:
        form.show(error)
    except (SlipwayError, Unreadable) as error:
        form.add_error(None, str(error))
    return None


def _accept(request: HttpRequest, form: BatchForm, common: Any) -> Batch | None:
    owner: Any = request.user
    endpoint, options = form.endpoint, form.options()
    typed, items, source = form.items(), None, None
    if typed is None:
        source = item_sources.check(form.source_with(common), owner=owner)
    else:
        items = batch_inputs.inputs_of(
            endpoint,
            list(typed),
            owner=owner,
            batch_size=options.batch_size,
            common=common,
            field=form.field_name,
        )
    if "look" not in request.POST:
        return batches.create(
            owner=owner, endpoint=endpoint, options=options, items=items, source=source
        )
    if source is None:
        messages.success(request, f"{len(items or []):,} jobs would be made.")
    else:
        size = options.batch_size
        batch = Batch(owner=owner, endpoint=endpoint, source=source, batch_size=size)
        _tell(request, enqueuing.preview(batch))
    return None


def _tell(request: HttpRequest, preview: enqueuing.Preview) -> None:
    number = (
        f"{preview.checked:,}" if preview.total else f"The first {preview.checked:,}"
    )
    if not preview.problems:
        messages.success(request, f"{number} jobs would be made. Nothing is wrong.")
        return
    problems = [f"item {at + 1}: {text}" for at, text in preview.problems[:5]]
    many = len(preview.problems)
    count = f"{many}" if many < batch_inputs.PROBLEMS_TOLD else f"{many} or more"
    text = f"{number} items were read; {count} of them would fail. " + " · ".join(
        problems
    )
    messages.warning(request, text)
