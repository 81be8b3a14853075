"""`/api/v1/batches`: many inputs at once, what became of each, and the failed ones again."""

import json
from collections import Counter
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from ninja import Query, Router

from jobs.api.auth import ApiRequest, needs
from jobs.api.batch_schemas import BatchIn, BatchOut, BatchPage, BatchPlan, Retried
from jobs.api.filters import METADATA_PARAMETER, JobFilters
from jobs.api.jobs import METADATA_MAX_BYTES
from jobs.api.once import PARAMETER, answer, once
from jobs.api.paging import Cursor, Limit, page_of, refuse_unknown
from jobs.api.schemas import JobPage
from jobs.errors import InvalidInput, NotFound, Problem, TooLarge
from jobs.models import Batch, Endpoint, Job
from jobs.services import batches as service
from jobs.services import jobs as single
from jobs.services.job_json import PREFETCHED, RELATED, job_json

router = Router()
READ, WRITE = needs("jobs:read"), needs("jobs:write")


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
    """Accept many inputs for one endpoint: all of them, or none.

    They become jobs a few at a time. With `dry_run=true` everything is checked and
    nothing is created (200).
    """
    endpoint = Endpoint.by_slug(body.endpoint)
    if endpoint is None or not request.auth.allows_endpoint(endpoint.slug):
        text = f"There is no endpoint “{body.endpoint}”."
        raise InvalidInput(Problem("/endpoint", text, "unknown"))
    if len(json.dumps(body.metadata)) > METADATA_MAX_BYTES:
        raise TooLarge("metadata is larger than 16 KiB.")
    owner = request.auth.owner
    if dry_run:
        service.check(endpoint, body.items, owner=owner)
        plan = {"endpoint": endpoint.slug, "total": len(body.items)}
        return answer(plan | {"workers": service.in_flight(body.workers)})

    def accept() -> dict[str, Any]:
        batch = service.create(
            owner=owner,
            endpoint=endpoint,
            items=body.items,
            name=body.name,
            metadata=body.metadata,
            priority=Job.Priority[body.priority.upper()],
            workers=body.workers,
        )
        return _json(request, batch)

    return once(request, accept)


@router.get("", auth=READ, response=BatchPage, summary="List batches")
def list_batches(
    request: ApiRequest, limit: Limit = 50, cursor: Cursor = ""
) -> HttpResponse:
    """Return the caller's batches, newest first, with their counts."""
    refuse_unknown(request, ("limit", "cursor"))
    mine = _seen(request).filter(owner=request.auth.owner)
    page = page_of(request, mine, limit, cursor)
    counted = service.counts(page["data"])
    shown = [_shown(request, one, counted[one.pk]) for one in page["data"]]
    return answer({**page, "data": shown})


@router.get("/{uuid:batch_id}", auth=READ, response=BatchOut, summary="Read a batch")
def read_batch(request: ApiRequest, batch_id: UUID) -> HttpResponse:
    """Return a batch with its counts."""
    return answer(_json(request, _one(request, batch_id)))


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
    batch = _one(request, batch_id)
    found = filters.apply(request, batch.jobs.filter(is_replaced=False))
    found = found.select_related(*RELATED).prefetch_related(*PREFETCHED)
    page = page_of(request, found, filters.limit, filters.cursor)
    positions = single.queue_positions(page["data"])
    base = _base(request)
    shown = [
        job_json(job, base=base, position=positions.get(job.pk)) for job in page["data"]
    ]
    return answer({**page, "data": shown})


@router.post(
    "/{uuid:batch_id}/cancel",
    auth=WRITE,
    response={202: BatchOut},
    summary="Cancel a batch",
)
def cancel_batch(request: ApiRequest, batch_id: UUID) -> HttpResponse:
    """Begin no more items, and ask for the end of those on their way."""
    batch = _one(request, batch_id)
    service.request_cancel(batch)
    return answer(_json(request, batch), 202)


@router.post(
    "/{uuid:batch_id}/retry_failed",
    auth=WRITE,
    response={202: Retried},
    summary="Run failed items again",
)
def retry_failed(request: ApiRequest, batch_id: UUID) -> HttpResponse:
    """Run the items again that failed, timed out or were cancelled; the rest stays."""
    return answer({"retried": service.retry_failed(_one(request, batch_id))}, 202)


def _seen(request: ApiRequest) -> Any:
    found = Batch.objects.visible_to(request.auth.owner)
    slugs = request.auth.endpoints
    found = found.filter(endpoint__slug__in=slugs) if slugs else found
    return found.select_related("endpoint", "owner")


def _one(request: ApiRequest, batch_id: UUID) -> Batch:
    batch: Batch | None = _seen(request).filter(pk=batch_id).first()
    if batch is None:
        raise NotFound("There is no such batch, or it is not yours.")
    return batch


def _base(request: ApiRequest) -> str:
    return request.build_absolute_uri("/")[:-1]


def _json(request: ApiRequest, batch: Batch) -> dict[str, Any]:
    return _shown(request, batch, service.counts([batch])[batch.pk])


def _shown(request: ApiRequest, batch: Batch, counted: Counter[str]) -> dict[str, Any]:
    return service.batch_json(batch, counted, base=_base(request))
