"""Rings the webhook of a finished item, as RunPod does: up to three tries, no proof."""

import logging

import httpx

from jobs.local_endpoint.client_views import item_json
from jobs.models.queue_item import QueueItem

logger = logging.getLogger(__name__)
TRIES = 3


def ring(item_id: str) -> None:
    """POST the item to its webhook. Nothing depends on whether this succeeds."""
    item = QueueItem.objects.filter(pk=item_id).exclude(webhook="").first()
    if item is None:
        return
    transport = httpx.HTTPTransport(retries=TRIES - 1)
    try:
        with httpx.Client(transport=transport, timeout=5, trust_env=False) as client:
            client.post(item.webhook, json=item_json(item))
    except httpx.HTTPError as error:
        logger.warning("doorbell of %s not rung: %s", item_id, type(error).__name__)
