"""Takes messages to webhooks: one process at a time, many receivers at once.

A receiver that hangs holds up nobody but itself: few messages are on their way to one
address, and each has a deadline.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
from django.db import Error as DatabaseError
from django.db import connections

from jobs.lib import conf, egress
from jobs.models import Delivery, Lease
from jobs.services.notifications import webhooks
from jobs.services.notifications.webhooks import Outcome
from jobs.shifts.loop.shift import is_ending

logger = logging.getLogger(__name__)
T = TypeVar("T")
LEASE = "courier"
AT_ONCE = 64
ANSWER_MAX_BYTES = 64 * 1024
CONNECT_SECONDS = 5.0
RETRY_AFTER_MAX = 24 * 3600


def work(seconds: float) -> bool:
    """Do one shift, unless another process has one; return whether it was done."""
    if is_ending.is_set():
        return False
    with Lease.held(LEASE, seconds=conf.SHIFT_LEASE_SECONDS) as holder:
        if holder:
            asyncio.run(Courier(holder).run(seconds))
    if holder:
        connections.close_all()
    return bool(holder)


def _take(holder: str) -> bool:
    return Lease.take(LEASE, holder=holder, seconds=conf.SHIFT_LEASE_SECONDS)


class Courier:
    """Sends what is due, while it holds the lease."""

    def __init__(self, holder: str) -> None:
        self._holder = holder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="courier")
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_the_way: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """Send until the time is over, the lease is lost, or the process ends."""
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until and not is_ending.is_set():
                if not await self._in_db(_take, self._holder):
                    break
                if not await self._tick():
                    await asyncio.sleep(conf.COURIER_TICK_SECONDS)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=conf.SHIFT_LEASE_SECONDS)
        finally:
            for task in self._tasks:
                task.cancel()
            self._thread.submit(connections.close_all)
            self._thread.shutdown()

    async def _in_db(self, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*args))

    async def _tick(self) -> bool:
        """Write messages, send those due; return whether there may be more."""
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
    found: dict[str, Any] = {}
    try:
        async with asyncio.timeout(conf.WEBHOOK_TIMEOUT_SECONDS):
            async with egress.post(
                delivery.url, delivery.body.encode(), heads, timeout
            ) as response:
                found["status_code"] = response.status_code
                found["retry_after"] = _retry_after(response)
                found["answer"] = await _beginning(response)
    except egress.EgressRefused as error:
        found["error"] = f"Not sent: {error}."
    except TimeoutError:
        seconds = conf.WEBHOOK_TIMEOUT_SECONDS
        found["error"] = f"No answer within {seconds:g} seconds."
        found.pop("status_code", None)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        found["error"] = f"{type(error).__name__}: {error}"[:200]
        found.pop("status_code", None)
    except Exception as error:
        # Whatever it is, it counts as a try: else the message would come for ever.
        logger.exception("webhook %s could not be sent", delivery.message_id)
        found["error"] = f"Not sent: {type(error).__name__}."
    return Outcome(seconds=time.monotonic() - began, **found)


async def _beginning(response: httpx.Response) -> str:
    """Return what is kept of an answer, however long it is."""
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
