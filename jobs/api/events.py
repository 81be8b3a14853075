"""`/api/v1/jobs/{id}/events`: what becomes of a job, as server-sent events.

The first event is the whole job, so nothing is missed between reading it and listening.
An event's id is the job's revision; a reader that comes back with `Last-Event-ID` gets
what it does not have yet. A job that has ended, and that the reader knows of, is 204:
then an EventSource stops coming back.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from ninja import Router
from pydantic_core import to_json

from jobs.api.auth import ApiRequest, Caller, needs
from jobs.lib.errors import Malformed, NotFound
from jobs.lib.threads import in_thread
from jobs.live import Listener, State, hub
from jobs.services.lifecycle.job_json import Json
from jobs.states import ENDS

router = Router()
SCHEMA = {
    "parameters": [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "The id of the last event that you have.",
            "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
            "example": "3",
        }
    ],
    "responses": {
        200: {
            "description": "Events `job` (first: the whole job), `status`, `progress`, "
            "`output` and `done` (last: the whole job).",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The job has ended, and you know it."},
    },
}


class needs_live(needs):  # noqa: N801 - as its parent
    """The same, for a view that occupies no thread and keeps no database connection."""

    async def __call__(self, request: HttpRequest) -> Caller | None:  # type: ignore[override]
        return await in_thread(super().__call__, request)


@router.get(
    "/{uuid:job_id}/events",
    auth=needs_live("jobs:read"),
    summary="Listen to a job",
    openapi_extra=SCHEMA,
)
async def job_events(request: ApiRequest, job_id: UUID) -> HttpResponseBase:
    """Stream what becomes of a job, until it ends."""
    caller = request.auth
    seen = _last_seen(request)
    rows = caller.jobs().filter(pk=job_id).values_list("revision", "status")
    row = await in_thread(rows.first)
    if row is None:
        raise NotFound("There is no such job, or it is not yours.")
    if row[1] in ENDS and seen is not None and seen >= row[0]:
        return HttpResponse(status=204)
    listener = Listener(caller.owner.pk, caller.key_id, is_whole=True)
    events = _events(job_id, listener, -1 if seen is None else seen)
    response = StreamingHttpResponse(events, content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _last_seen(request: HttpRequest) -> int | None:
    header = request.headers.get("Last-Event-ID")
    if header is None:
        return None
    if not (header.isascii() and header.isdigit() and len(header) <= 18):
        raise Malformed("Last-Event-ID is the id of an event that you were sent.")
    return int(header)


async def _events(pk: UUID, listener: Listener, seen: int) -> AsyncIterator[bytes]:
    yield b"retry: 3000\n\n"
    before: Json | None = None
    async for state in hub.states(pk, listener):
        if state is None:
            yield b": still here\n\n"
            continue
        if state.revision > seen or (before is None and state.has_ended):
            for kind, data in _news(before, state):
                yield b"id: %d\nevent: %s\ndata: %s\n\n" % (
                    state.revision,
                    kind.encode(),
                    to_json(data),
                )
        before, seen = state.job, max(seen, state.revision)
        if state.has_ended:
            return


def _news(before: Json | None, state: State) -> Iterator[tuple[str, Any]]:
    """Return (kind of event, what it says) for what is new in `state`."""
    job = state.job or {}
    if before is None:
        yield "job", job
    else:
        had = {file["name"] for file in before["outputs"]}
        for file in job["outputs"]:
            if file["name"] not in had:
                yield "output", file
        if job["status"] != before["status"]:
            yield "status", job
        elif job["progress"] != before["progress"]:
            yield "progress", {"status": job["status"], **job["progress"]}
    if state.has_ended:
        yield "done", job
