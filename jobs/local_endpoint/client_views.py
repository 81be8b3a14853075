"""The local endpoint's face to clients: RunPod's job API, word for word.

Source: RunPod docs, serverless/endpoints/operation-reference. The official `runpod`
client and our own `EndpointClient` both work against it.
"""

import asyncio
import time
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from jobs.lib import clean_json, conf, egress
from jobs.local_endpoint import callbacks, queue, workers
from jobs.local_endpoint.access import for_clients, problem
from jobs.local_endpoint.item_json import item_json
from jobs.models.endpoint import Endpoint
from jobs.models.queue_item import QueueItem

RUN_MAX_BYTES = 10 * 1024 * 1024
RUNSYNC_MAX_BYTES = 20 * 1024 * 1024
STREAM_HOLD_SECONDS = 10.0


@for_clients("POST")
async def run(request: HttpRequest, endpoint: Endpoint) -> HttpResponseBase:
    """Queue a job and answer at once."""
    item = await _put(request, endpoint, RUN_MAX_BYTES)
    if not isinstance(item, QueueItem):
        return item
    return JsonResponse({"id": item.pk, "status": item.status})


@for_clients("POST")
async def runsync(request: HttpRequest, endpoint: Endpoint) -> HttpResponseBase:
    """Queue a job and wait for its end, up to the long-poll limit."""
    item = await _put(request, endpoint, RUNSYNC_MAX_BYTES)
    if not isinstance(item, QueueItem):
        return item
    wait = min(_milliseconds(request, 90_000), conf.LONG_POLL_SECONDS)
    until = time.monotonic() + wait
    current: QueueItem | None = item
    while current and not current.ended_at and time.monotonic() < until:
        await asyncio.sleep(conf.LONG_POLL_PAUSE_SECONDS)
        current = await sync_to_async(queue.find)(endpoint.slug, item.pk)
    return _answer(current)


@for_clients("GET", "POST")
async def status(
    request: HttpRequest, endpoint: Endpoint, item_id: str
) -> HttpResponseBase:
    """Say where a job is."""
    return _answer(await sync_to_async(queue.find)(endpoint.slug, item_id))


@for_clients("GET", "POST")
async def stream(
    request: HttpRequest, endpoint: Endpoint, item_id: str
) -> HttpResponseBase:
    """Hand out the chunks not read yet; reading drains them."""
    wait = _milliseconds(request, int(STREAM_HOLD_SECONDS * 1000))
    until = time.monotonic() + min(wait, conf.LONG_POLL_SECONDS)
    while True:
        item = await sync_to_async(queue.find)(endpoint.slug, item_id)
        if item is None:
            return _answer(None)
        chunks = await sync_to_async(queue.drain_chunks)(item)
        if chunks or item.ended_at or time.monotonic() > until:
            body = {"status": item.status, "stream": [{"output": c} for c in chunks]}
            return JsonResponse(body)
        await asyncio.sleep(conf.LONG_POLL_PAUSE_SECONDS)


@for_clients("POST")
async def cancel(
    request: HttpRequest, endpoint: Endpoint, item_id: str
) -> HttpResponseBase:
    """End a job; a running one is stopped through its worker's stop channel."""
    await sync_to_async(queue.cancel)(endpoint.slug, item_id)
    item = await sync_to_async(queue.find)(endpoint.slug, item_id)
    if item is None:
        return _answer(None)
    return JsonResponse({"id": item.pk, "status": item.status})


@for_clients("POST")
async def retry(
    request: HttpRequest, endpoint: Endpoint, item_id: str
) -> HttpResponseBase:
    """Queue a failed job again under the same id."""
    item = await sync_to_async(queue.find)(endpoint.slug, item_id)
    if item is None:
        return _answer(None)
    if not await sync_to_async(queue.retry)(endpoint.slug, item_id):
        return problem(
            "only failed or timed out jobs can be retried", 400, "Bad Request"
        )
    return JsonResponse({"id": item.pk, "status": QueueItem.Status.IN_QUEUE})


@for_clients("POST")
async def purge_queue(request: HttpRequest, endpoint: Endpoint) -> HttpResponseBase:
    """Forget the jobs that no worker has taken."""
    removed = await sync_to_async(queue.purge)(endpoint.slug)
    return JsonResponse({"removed": removed, "status": "completed"})


@for_clients("GET")
async def health(request: HttpRequest, endpoint: Endpoint) -> HttpResponseBase:
    """Count jobs and workers."""
    body = {
        "jobs": await sync_to_async(queue.counts)(endpoint.slug),
        "workers": await sync_to_async(workers.counts)(endpoint.queue_name),
    }
    return JsonResponse(body)


async def _put(
    request: HttpRequest, endpoint: Endpoint, limit: int
) -> QueueItem | HttpResponseBase:
    if len(request.body) > limit:
        megabytes = limit // 1024 // 1024
        return problem(f"exceeded max body size of {megabytes}MiB", 400, "Bad Request")
    try:
        body = clean_json.lenient(request.body)
    except ValueError:
        return problem("the body is not JSON", 400, "Bad Request")
    refusal = _refusal(body)
    if refusal:
        return problem(refusal, 400, "Bad Request")
    policy = body.get("policy")
    return await sync_to_async(queue.put)(
        endpoint,
        body["input"],
        policy=policy if isinstance(policy, dict) else {},
        webhook=body.get("webhook") or "",
    )


def _refusal(body: Any) -> str:
    if not isinstance(body, dict) or not isinstance(body.get("input"), dict):
        return "input is required and must be an object"
    if not body["input"]:
        return "input is empty; send at least one key"
    webhook = body.get("webhook") or ""
    if not isinstance(webhook, str):
        return "webhook must be an address"
    if webhook and not callbacks.is_own(webhook):
        try:
            egress.check(webhook)
        except egress.EgressRefused as error:
            return f"webhook cannot be used: {error}"
    return ""


def _milliseconds(request: HttpRequest, default: int) -> float:
    value = request.GET.get("wait", "")
    return (int(value) if value.isascii() and value.isdigit() else default) / 1000


def _answer(item: QueueItem | None) -> JsonResponse:
    """Return RunPod's job object, or its 404."""
    if item is None:
        return problem("job not found", 404, "Not Found")
    return JsonResponse(item_json(item))
