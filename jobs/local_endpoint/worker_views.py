"""The local endpoint's face to workers: what an unmodified `runpod` SDK worker calls.

Facts of runpod-python 1.12: results are JSON labelled as a form; progress comes on the
job-done route; anything but 2xx drops a result, so duplicates get 200; a 4xx or a fast
empty answer to a take is asked again at once, so takes are held.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from jobs.lib import clean_json, conf
from jobs.local_endpoint import queue, workers
from jobs.local_endpoint.access import for_workers
from jobs.models.endpoint import Endpoint
from jobs.models.queue_item import LocalWorker, QueueItem

MAX_BATCH = 64
MAX_PING_IDS = 1000


@for_workers("GET")
async def job_take(
    request: HttpRequest, endpoint: Endpoint, worker_id: str
) -> HttpResponseBase:
    """Hold until an item waits, then hand it out; 204 when none came."""
    taken = await _hold_for_items(request, endpoint, worker_id, 1)
    if not taken:
        return HttpResponse(status=204)
    return JsonResponse(_job(taken[0], endpoint))


@for_workers("GET")
async def job_take_batch(
    request: HttpRequest, endpoint: Endpoint, worker_id: str
) -> HttpResponseBase:
    """As `job_take`, for several free slots."""
    asked = request.GET.get("batch_size", "1")
    count = min(int(asked), MAX_BATCH) if asked.isascii() and asked.isdigit() else 1
    taken = await _hold_for_items(request, endpoint, worker_id, max(1, count))
    if not taken:
        return HttpResponse(status=204)
    return JsonResponse([_job(item, endpoint) for item in taken], safe=False)


@for_workers("GET")
async def job_stop(
    request: HttpRequest, endpoint: Endpoint, worker_id: str
) -> HttpResponseBase:
    """Hold until an item of this worker must stop, then name it."""

    def look() -> list[str]:
        return queue.stops_for(worker_id)

    await sync_to_async(workers.polled)(endpoint.queue_name, worker_id)
    try:
        ids = await _hold(look, worker_id)
    except asyncio.CancelledError:
        await sync_to_async(workers.lost_connection)(worker_id)
        raise
    if not ids:
        return HttpResponse(status=204)
    return JsonResponse({"jobsToStop": ids})


@for_workers("GET")
async def ping(
    request: HttpRequest, endpoint: Endpoint, worker_id: str
) -> HttpResponseBase:
    """Renew the leases of the items the worker names."""
    name = endpoint.queue_name
    if request.GET.get("status") == "unhealthy":
        reason = f"{request.GET.get('check', '')}: {request.GET.get('reason', '')}"
        await sync_to_async(workers.unhealthy)(name, worker_id, reason)
        return HttpResponse()
    ids = [id for id in request.GET.get("job_id", "").split(",") if id][:MAX_PING_IDS]
    version = request.GET.get("runpod_version", "")
    await sync_to_async(workers.pinged)(name, worker_id, ids, version)
    return HttpResponse()


@for_workers("POST")
async def job_done(
    request: HttpRequest, endpoint: Endpoint, worker_id: str, item_id: str
) -> HttpResponseBase:
    """Take a progress report, or the final answer of an item."""
    try:
        body = clean_json.lenient(request.body)
    except ValueError:
        body = {"error": "The worker's answer was not JSON."}
    if not isinstance(body, dict):
        body = {"output": body}
    slug = await _slug_of(endpoint, item_id)
    if body.get("status") == "IN_PROGRESS":
        output = body.get("output")
        await sync_to_async(queue.progress)(slug, item_id, worker_id, output)
        return HttpResponse()
    await sync_to_async(queue.finish)(slug, item_id, worker_id, body)
    if body.get("stopPod"):
        await sync_to_async(workers.drain)(worker_id)
    return HttpResponse()


@for_workers("POST")
async def job_stream(
    request: HttpRequest, endpoint: Endpoint, worker_id: str, item_id: str
) -> HttpResponseBase:
    """Keep one chunk of a generator handler's output."""
    try:
        body = clean_json.lenient(request.body)
    except ValueError:
        return HttpResponse()
    output = body.get("output") if isinstance(body, dict) else body
    slug = await _slug_of(endpoint, item_id)
    await sync_to_async(queue.add_chunk)(slug, item_id, output)
    return HttpResponse()


async def _slug_of(endpoint: Endpoint, item_id: str) -> str:
    """Return the endpoint of an item; workers of one queue serve several endpoints."""
    items = QueueItem.objects.filter(pk=item_id, queue=endpoint.queue_name)
    return await items.values_list("endpoint_slug", flat=True).afirst() or endpoint.slug


async def _hold_for_items(
    request: HttpRequest, endpoint: Endpoint, worker_id: str, count: int
) -> list[QueueItem]:
    name = endpoint.queue_name
    await sync_to_async(workers.polled)(name, worker_id)
    if request.GET.get("job_in_progress") == "0":
        await sync_to_async(queue.release)(worker_id)

    def look() -> list[QueueItem]:
        return workers.take(name, worker_id, count)

    taken: list[QueueItem] = await _hold(look, worker_id)
    return taken


async def _hold(look: Callable[[], list[Any]], worker_id: str) -> list[Any]:
    """Call `look` until it finds something or the long poll has lasted long enough.

    A draining worker is let go at once: the SDK exits only when its polls return.
    """
    until = time.monotonic() + conf.LONG_POLL_SECONDS
    ask_again_at = 0.0
    leaving = LocalWorker.objects.filter(pk=worker_id, is_draining=True)
    while True:
        results = await sync_to_async(look)()
        if results or time.monotonic() > until:
            return results
        if time.monotonic() > ask_again_at:
            ask_again_at = time.monotonic() + 1
            if await leaving.aexists():
                await asyncio.sleep(conf.REFUSED_WORKER_PAUSE_SECONDS)
                return []
        await asyncio.sleep(conf.LONG_POLL_PAUSE_SECONDS)


def _job(item: QueueItem, endpoint: Endpoint) -> dict[str, Any]:
    """Return the job as RunPod hands it out, with the endpoint's name beside it."""
    job: dict[str, Any] = {
        "id": item.pk,
        "input": item.input,
        "policy": item.policy,
        "endpoint": item.endpoint_slug,
    }
    if item.webhook:
        job["webhook"] = item.webhook
    return job
