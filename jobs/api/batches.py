"""`/api/v1/batches`: many inputs at once, what became of each, and the failed ones again."""

from collections import Counter
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from ninja import Query, Router

from jobs.api.auth import ApiRequest, needs
from jobs.api.batch_schemas import (
    BatchDetail,
    BatchIn,
    BatchOut,
    BatchPage,
    BatchPlan,
    Retried,
)
from jobs.api.filters import METADATA_PARAMETER, JobFilters
from jobs.api.jobs import base_of, check_metadata, endpoint_of, job_page
from jobs.api.once import PARAMETER, answer, once
from jobs.api.paging import Cursor, Limit, page_of, refuse_unknown
from jobs.api.schemas import JobPage
from jobs.lib.errors import InvalidInput, NotFound, Problem
from jobs.lib.item_readers import Unreadable
from jobs.models import Batch, Endpoint, Job
from jobs.services.batching import batch_inputs, batch_json, enqueuing, item_sources
from jobs.services.batching import batches as service
from jobs.services.batching.batches import Options
from jobs.services.money import estimates

router = Router()
READ, WRITE = needs("jobs:read"), needs("jobs:write")
SOURCES = ("items", "item_list", "file", "file_path_lister", "delimited_files")


@router.post(
    "",
    auth=WRITE,
    response={201: BatchOut, 200: BatchPlan},
    summary="Create a batch",
    openapi_extra={"parameters": [PARAMETER]},
)
def create_batch(
    request: ApiRequest, body: BatchIn, *, dry_run: bool = False
) -> HttpResponse:
    """Accept many inputs for one endpoint, from exactly one source.

    `items` come with the request: all of them are accepted, or none. Those of `file`,
    `file_path_lister` and `delimited_files` are read afterwards, and one that is no
    usable input is a failed item. They become jobs a few at a time. With `dry_run=true`
    everything, or the first 5,000 items, is checked and nothing is created (200).
    """
    endpoint = endpoint_of(request, body.endpoint)
    check_metadata(body.metadata)
    options, owner = _options(endpoint, body), request.auth.owner
    # A bucket is asked before the transaction begins.
    items = _items(request, endpoint, body, options.batch_size)
    source = _source(request, body)
    if dry_run:
        fields = {"batch_size": options.batch_size, "source": source or {}}
        workers = service.in_flight(options.workers)
        batch = Batch(owner=owner, endpoint=endpoint, in_flight=workers, **fields)
        return answer(_plan(batch, items))

    def accept() -> dict[str, Any]:
        batch = service.create(
            owner=owner,
            api_key_id=request.auth.key_id,
            endpoint=endpoint,
            options=options,
            items=items,
            source=source,
        )
        return shown(request, batch)

    return once(request, accept)


def _options(endpoint: Endpoint, body: BatchIn) -> Options:
    size = body.batch_size
    for nested in (body.item_list, body.file_path_lister, body.delimited_files):
        size = nested.batch_size if nested and nested.batch_size else size
    is_ours = endpoint.contract == Endpoint.Contract.SLIPWAY
    wanted = is_ours if body.on_job_complete is None else body.on_job_complete
    return Options(
        name=body.name,
        metadata=body.metadata,
        priority=Job.Priority[body.priority.upper()],
        workers=body.workers,
        batch_size=size,
        config=body.config,
        max_attempts=body.max_attempts,
        timeout_seconds=body.timeout,
        has_completion=bool(size and wanted),
    )


def _items(
    request: ApiRequest, endpoint: Endpoint, body: BatchIn, batch_size: int | None
) -> list[Any] | None:
    """Return the inputs of jobs, where the items came with the request."""
    given = [name for name in SOURCES if getattr(body, name) is not None]
    if len(given) != 1:
        text = "Specify exactly one of " + ", ".join(SOURCES) + "."
        raise InvalidInput(Problem("", text, "source"))
    listed = body.item_list.items if body.item_list else body.items
    if listed is None:
        batch_inputs.check_endpoint(endpoint)
        return None
    return batch_inputs.inputs_of(
        endpoint,
        listed,
        owner=request.auth.owner,
        batch_size=batch_size,
        common=body.input,
        field=body.field,
    )


def _source(request: ApiRequest, body: BatchIn) -> dict[str, Any] | None:
    """Return where the items are to be read from."""
    source: dict[str, Any] = {"field": body.field, "input": body.input}
    listed = body.file_path_lister or body.delimited_files
    if listed:
        kind = "listing" if body.file_path_lister else "delimited"
        source |= {"kind": kind, **listed.dict(exclude={"batch_size"})}
    elif body.file is not None:
        source |= {"kind": "file", "upload": body.file, "format": body.format}
    else:
        return None
    return item_sources.check(source, owner=request.auth.owner)


def _plan(batch: Batch, items: list[Any] | None) -> dict[str, Any]:
    """Return what would become of a batch, which is not saved."""
    common = {"endpoint": batch.endpoint.slug, "workers": batch.in_flight}
    usual = estimates.usual(batch.endpoint)
    each = float(usual.cost) if usual and usual.cost is not None else None
    if items is not None:
        number = len(items)
        cost = None if each is None else each * number
        counted = {"total": number, "checked": number, "estimated_cost": cost}
        return {**common, **counted, "files": [], "problems": []}
    try:
        preview = enqueuing.preview(batch)
    except Unreadable as error:
        raise InvalidInput(Problem("/file", str(error), "file")) from None
    problems = [{"index": at, "message": text} for at, text in preview.problems]
    return {
        **common,
        "total": preview.total,
        "estimated_cost": each * preview.total if each and preview.total else None,
        "checked": preview.checked,
        "files": preview.files,
        "problems": problems,
    }


@router.get("", auth=READ, response=BatchPage, summary="List batches")
def list_batches(
    request: ApiRequest, limit: Limit = 50, cursor: Cursor = ""
) -> HttpResponse:
    """Return the caller's batches, newest first, with their counts."""
    refuse_unknown(request, ("limit", "cursor"))
    mine = _seen(request).filter(owner=request.auth.owner)
    page = page_of(request, mine, limit, cursor)
    counted = batch_json.counts(page["data"])
    data = [_json(request, one, counted[one.pk]) for one in page["data"]]
    return answer({**page, "data": data})


@router.get("/{uuid:batch_id}", auth=READ, response=BatchDetail, summary="Read a batch")
def read_batch(request: ApiRequest, batch_id: UUID) -> HttpResponse:
    """Return a batch with its counts, its speed and why items failed."""
    batch = find(request, batch_id)
    counted = batch_json.counts([batch])[batch.pk]
    return answer(
        {**_json(request, batch, counted), **batch_json.detail(batch, counted)}
    )


@router.get(
    "/{uuid:batch_id}/items",
    auth=READ,
    response=JobPage,
    summary="List a batch's items",
    openapi_extra={"parameters": [METADATA_PARAMETER]},
)
def list_items(
    request: ApiRequest, batch_id: UUID, filters: Query[JobFilters]
) -> HttpResponse:
    """Return the jobs that stand for items, the last ones first.

    `batch_index` counts from 0 as they were sent. Of an item that was run again, the
    newest job is here; items that are no jobs yet are not.
    """
    batch = find(request, batch_id)
    return job_page(request, batch.jobs.filter(is_replaced=False), filters)


@router.post(
    "/{uuid:batch_id}/cancel",
    auth=WRITE,
    response={202: BatchOut},
    summary="Cancel a batch",
)
def cancel_batch(request: ApiRequest, batch_id: UUID) -> HttpResponse:
    """Begin no more items, and ask for the end of those on their way."""
    batch = find(request, batch_id)
    service.request_cancel(batch)
    return answer(shown(request, batch), 202)


@router.post(
    "/{uuid:batch_id}/retry_failed",
    auth=WRITE,
    response={202: Retried},
    summary="Run failed items again",
)
def retry_failed(request: ApiRequest, batch_id: UUID) -> HttpResponse:
    """Run the items again that failed, timed out or were cancelled; the rest stays.

    Items that are no usable input (`bad_item`) stay, too.
    """
    return answer({"retried": service.retry_failed(find(request, batch_id))}, 202)


def _seen(request: ApiRequest) -> Any:
    batches = Batch.objects.visible_to(request.auth.owner)
    slugs = request.auth.endpoints
    batches = batches.filter(endpoint__slug__in=slugs) if slugs else batches
    return batches.select_related("endpoint", "owner", "completion")


def find(request: ApiRequest, batch_id: UUID) -> Batch:
    """Return a batch that the caller may see; raise `NotFound`."""
    batch: Batch | None = _seen(request).filter(pk=batch_id).first()
    if batch is None:
        raise NotFound("There is no such batch, or it is not yours.")
    return batch


def shown(request: ApiRequest, batch: Batch) -> dict[str, Any]:
    """Return a batch as JSON."""
    return _json(request, batch, batch_json.counts([batch])[batch.pk])


def _json(request: ApiRequest, batch: Batch, counted: Counter[str]) -> dict[str, Any]:
    return batch_json.batch_json(batch, counted, base=base_of(request))
