"""All results of a batch at once: `results.ndjson`, `failures.ndjson`, `results.zip`."""

from collections.abc import Iterator
from functools import partial
from uuid import UUID

from django.http import HttpResponseBase, StreamingHttpResponse
from ninja import Router

from jobs.api.auth import ApiRequest
from jobs.api.batches import find
from jobs.api.events import needs_live
from jobs.api.jobs import base_of
from jobs.lib.threads import in_thread, in_threads
from jobs.models import Batch
from jobs.services.batching import batch_results

router = Router()
NDJSON, ZIP = "application/x-ndjson", "application/zip"
READ = needs_live("jobs:read")


def _document(description: str, kind: str) -> dict[str, object]:
    schema = {"type": "string", "format": "binary"}
    content = {kind: {"schema": schema}}
    return {"responses": {200: {"description": description, "content": content}}}


@router.get(
    "/{uuid:batch_id}/results.ndjson",
    auth=READ,
    summary="Fetch all results",
    openapi_extra=_document("One line for each item that is a job.", NDJSON),
)
async def results(request: ApiRequest, batch_id: UUID) -> HttpResponseBase:
    """Stream `{index, id, status, input, output, outputs, error, …}` of each item.

    One in each line, in the order of the items.
    """
    batch = await in_thread(find, request, batch_id)
    lines = batch_results.lines(batch, base=base_of(request))
    return _stream(lines, NDJSON, f"{batch.pk}.ndjson")


@router.get(
    "/{uuid:batch_id}/failures.ndjson",
    auth=READ,
    summary="Fetch the failed items",
    openapi_extra=_document("One line for each failed item.", NDJSON),
)
async def failures(request: ApiRequest, batch_id: UUID) -> HttpResponseBase:
    """Stream the failed items only, with their inputs and errors: the dead letters."""
    batch = await in_thread(find, request, batch_id)
    only = batch_results.ONLY_FAILED
    lines = batch_results.lines(batch, base=base_of(request), only=only)
    return _stream(lines, NDJSON, f"{batch.pk}-failures.ndjson")


@router.get(
    "/{uuid:batch_id}/results.zip",
    auth=READ,
    summary="Fetch all files",
    openapi_extra=_document("Every file, and results.ndjson.", ZIP),
)
async def files(request: ApiRequest, batch_id: UUID) -> HttpResponseBase:
    """Stream a zip of every file that items have made, as `<index>/<name>`."""
    begin = partial(_archive, request, batch_id)
    batch, pieces = await in_thread(begin)
    return _stream(pieces, ZIP, f"{batch.pk}.zip")


def _archive(request: ApiRequest, batch_id: UUID) -> tuple[Batch, Iterator[bytes]]:
    batch = find(request, batch_id)
    batch_results.check_archive(batch)
    return batch, batch_results.archive(batch, base=base_of(request))


def _stream(pieces: Iterator[bytes], kind: str, name: str) -> HttpResponseBase:
    response = StreamingHttpResponse(in_threads(pieces), content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response
