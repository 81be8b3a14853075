"""Delivers messages to webhooks: one process at a time, many receivers at once.

A receiver that hangs delays only its own messages: the number of concurrent requests to
one address is limited, and each has a deadline.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from typing import Any

import httpx
from django.db import Error as DatabaseError

from jobs.lib import conf, egress
from jobs.models import Delivery, HeldLease
from jobs.services.notifications import webhooks
from jobs.services.notifications.webhooks import Outcome
from jobs.shifts import runner
from jobs.shifts.runner import DatabaseThreads

logger = logging.getLogger(__name__)
LEASE = "courier"
AT_ONCE = 64
ANSWER_MAX_BYTES = 64 * 1024
CONNECT_SECONDS = 5.0
RETRY_AFTER_MAX = 24 * 3600


def work(seconds: float) -> bool:
    """Run one shift unless another process is running one; return whether it ran."""
    return runner.work(LEASE, lambda lease: Courier(lease).run(seconds))


class Courier:
    """Sends due messages while it holds the lease."""

    def __init__(self, lease: HeldLease) -> None:
        self._lease = lease
        self._in_db = DatabaseThreads("courier", 1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_the_way: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """Send until time is up, the lease is lost, or the process is asked to end."""
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until and not runner.is_ending.is_set():
                if not await self._in_db(self._lease.keep):
                    break
                if not await self._tick():
                    await asyncio.sleep(conf.COURIER_TICK_SECONDS)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=conf.SHIFT_LEASE_SECONDS)
        finally:
            for task in self._tasks:
                task.cancel()
            self._in_db.close()

    async def _tick(self) -> bool:
        """Write new messages and send those due; return whether there may be more."""
        try:
            announced = await self._in_db(webhooks.announce)
            room = AT_ONCE - len(self._tasks)
            claim = webhooks.claim
            due = await self._in_db(claim, room, dict(self._on_the_way)) if room else []
        except DatabaseError as error:
            logger.warning("webhooks: database: %s", type(error).__name__)
            return False
        for delivery in due:
            self._on_the_way[delivery.url] += 1
            task = asyncio.create_task(self._deliver(delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return announced > 0

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            outcome = await send(delivery)
            await self._in_db(webhooks.heard, delivery, outcome)
        except DatabaseError as error:
            logger.warning("webhooks: database: %s", type(error).__name__)
        finally:
            self._on_the_way[delivery.url] -= 1
            if not self._on_the_way[delivery.url]:
                del self._on_the_way[delivery.url]


async def send(delivery: Delivery) -> Outcome:
    """Try once to deliver a message."""
    began = time.monotonic()
    timeout = httpx.Timeout(conf.WEBHOOK_TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
    heads = webhooks.headers(delivery)
    fields: dict[str, Any] = {}
    try:
        async with asyncio.timeout(conf.WEBHOOK_TIMEOUT_SECONDS):
            async with egress.post(
                delivery.url, delivery.body.encode(), heads, timeout
            ) as response:
                fields["status_code"] = response.status_code
                fields["retry_after"] = _retry_after(response)
                fields["answer"] = await _beginning(response)
    except egress.EgressRefused as error:
        fields["error"] = f"Not sent: {error}."
    except TimeoutError:
        seconds = conf.WEBHOOK_TIMEOUT_SECONDS
        fields["error"] = f"No answer within {seconds:g} seconds."
        fields.pop("status_code", None)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fields["error"] = f"{type(error).__name__}: {error}"[:200]
        fields.pop("status_code", None)
    except Exception as error:
        # Any error counts as a try, or the message would be sent for ever.
        logger.exception("webhook %s could not be sent", delivery.message_id)
        fields["error"] = f"Not sent: {type(error).__name__}."
    return Outcome(seconds=time.monotonic() - began, **fields)


async def _beginning(response: httpx.Response) -> str:
    """Return the part of an answer that we keep, however long the answer is."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > ANSWER_MAX_BYTES:
            break
    return bytes(body[: webhooks.ANSWER_KEPT]).decode("utf-8", "replace")


def _retry_after(response: httpx.Response) -> float:
    with contextlib.suppress(ValueError):
        asked = float(response.headers.get("retry-after", "0"))
        return min(max(asked, 0.0), RETRY_AFTER_MAX)
    return 0.0
