"""Live pages: one reader of the database per process, however many pages are open.

The stream only says that something changed; the page then fetches what it shows. A
page without the stream is still true after a reload.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse

from jobs import conf
from jobs.models import Job
from jobs.states import ENDS
from jobs.threads import in_thread

State = dict[str, Any]


class Hub:
    """Reads the watched jobs again and again, and tells their listeners of changes."""

    def __init__(self) -> None:
        self._listeners: dict[UUID, set[asyncio.Queue[State]]] = defaultdict(set)
        self._known: dict[UUID, State] = {}
        self._reader: asyncio.Task[None] | None = None

    async def states(self, pk: UUID) -> AsyncIterator[State | None]:
        """Yield the job's state now and after every change; None as a heartbeat."""
        queue: asyncio.Queue[State] = asyncio.Queue()
        self._listeners[pk].add(queue)
        if pk in self._known:
            queue.put_nowait(self._known[pk])
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        try:
            while True:
                try:
                    yield await asyncio.wait_for(
                        queue.get(), timeout=conf.LIVE_HEARTBEAT_SECONDS
                    )
                except TimeoutError:
                    yield None
        finally:
            self._listeners[pk].discard(queue)
            if not self._listeners[pk]:
                del self._listeners[pk]
                self._known.pop(pk, None)

    async def _read(self) -> None:
        while self._listeners:
            for pk, state in (await in_thread(_states, list(self._listeners))).items():
                if self._known.get(pk) != state:
                    self._known[pk] = state
                    for queue in self._listeners.get(pk, ()):
                        queue.put_nowait(state)
            await asyncio.sleep(conf.LIVE_PAUSE_SECONDS)


hub = Hub()


def _states(pks: list[UUID]) -> dict[UUID, State]:
    rows = Job.objects.filter(pk__in=pks).values_list("pk", "revision", "status")
    return {
        pk: {"revision": revision, "status": status, "ended": status in ENDS}
        for pk, revision, status in rows
    }


async def job_live(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """Stream the changes of a job as server-sent events until it ends."""
    user = await request.auser()
    visible = Job.objects.visible_to(user).filter(pk=job_id)
    if not user.is_authenticated or not await sync_to_async(visible.exists)():
        raise Http404
    response = StreamingHttpResponse(_events(job_id), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def _events(pk: UUID) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    async for state in hub.states(pk):
        if state is None:
            yield ": still here\n\n"
            continue
        yield f"id: {state['revision']}\nevent: job\ndata: {json.dumps(state)}\n\n"
        if state["ended"]:
            return
