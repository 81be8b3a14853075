"""Live pages: the stream says that something changed; the page fetches what it shows.

A page without the stream is still true after a reload.
"""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from jobs.lib.threads import in_thread
from jobs.live import Listener, hub
from jobs.models import Job


@require_safe
async def job_live(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """Stream the changes of a job as server-sent events until it ends."""
    # In a thread that gives its database connection back: the stream stays open long.
    user_id = await in_thread(_reader, request, job_id)
    if user_id is None:
        raise Http404
    events = _events(job_id, Listener(user_id))
    response = StreamingHttpResponse(events, content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _reader(request: HttpRequest, job_id: UUID) -> int | None:
    """Return who is signed in, if the job is theirs to see."""
    user: Any = request.user
    if not user.is_authenticated:
        return None
    is_visible = Job.objects.visible_to(user).filter(pk=job_id).exists()
    return int(user.pk) if is_visible else None


async def _events(pk: UUID, listener: Listener) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    async for state in hub.states(pk, listener):
        if state is None:
            yield ": still here\n\n"
            continue
        data = json.dumps({"status": state.status, "ended": state.has_ended})
        yield f"id: {state.revision}\nevent: job\ndata: {data}\n\n"
        if state.has_ended:
            return
