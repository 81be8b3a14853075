"""Rings the webhook of a finished item, as RunPod does: up to three tries, no proof."""

import asyncio
import json
import logging

import httpx
from django.conf import settings

from jobs.lib import egress, tls
from jobs.local_endpoint.item_json import item_json
from jobs.models.queue_item import QueueItem

logger = logging.getLogger(__name__)
TRIES = 3
PAUSE_SECONDS = 1.0
TIMEOUT = httpx.Timeout(5.0)


def is_own(url: str) -> bool:
    """Whether an address is this server's, which needs no leave."""
    return url.startswith((f"{settings.PUBLIC_URL}/", f"{settings.INTERNAL_URL}/"))


def ring(item_id: str) -> None:
    """POST the item to its webhook. Nothing depends on whether this succeeds."""
    item = QueueItem.objects.filter(pk=item_id).exclude(webhook="").first()
    if item is None:
        return
    try:
        if is_own(item.webhook):
            _ring_ourselves(item)
        else:
            body = json.dumps(item_json(item)).encode()
            asyncio.run(_ring_outside(item.webhook, body))
    except (httpx.HTTPError, httpx.InvalidURL, egress.EgressRefused) as error:
        logger.warning("doorbell of %s not rung: %s", item_id, type(error).__name__)


def _ring_ourselves(item: QueueItem) -> None:
    transport = httpx.HTTPTransport(retries=TRIES - 1, verify=tls.context())
    with httpx.Client(transport=transport, timeout=TIMEOUT, trust_env=False) as client:
        client.post(item.webhook, json=item_json(item))


async def _ring_outside(url: str, body: bytes) -> None:
    """Knock up to three times, at a public address only."""
    headers = {"Content-Type": "application/json"}
    for number in range(1, TRIES + 1):
        try:
            async with egress.post(url, body, headers, TIMEOUT) as response:
                if response.is_success:
                    return
        except httpx.HTTPError:
            if number == TRIES:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
