"""One shift of the loop: several times a second, find what is due and do it.

Remote calls are coroutines over kept connections; database work runs in a few threads.
The row is the truth: nothing in this process is needed after a crash.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import aiohttp
from django.db import Error as DatabaseError
from django.db import connection

from jobs.lib import conf
from jobs.models import Endpoint, HeldLease, Job
from jobs.runpod.async_client import AsyncEndpointClient
from jobs.services.batching import batches
from jobs.services.lifecycle import attempts, reconcile, release, sync, tracking
from jobs.services.lifecycle.tracking import Work
from jobs.services.money import run_times
from jobs.services.operations import alerts, endpoints
from jobs.shifts import runner
from jobs.shifts.clock import CLOCK, Clock
from jobs.shifts.loop.actions import Actions
from jobs.shifts.loop.endpoint_state import OVER, EndpointState
from jobs.shifts.loop.pace import SAMPLES, Pace
from jobs.shifts.runner import DatabaseThreads

logger = logging.getLogger(__name__)
LEASE = "loop"
THREADS = 4
KEEP_ALIVE_SECONDS = 1.5  # less than any server's, so no request meets a closed socket
DRAIN_SECONDS = 4.0
LOW_QUANTILE = 0.05
LOSERS_AT_ONCE = 10
# What this process has learned about each endpoint, across shifts.
_known: dict[int, EndpointState] = {}


def work(seconds: float, clock: Clock = CLOCK) -> bool:
    """Run one shift unless another process is running one; return whether it ran."""
    return runner.work(LEASE, lambda lease: Shift(lease, clock).run(seconds), clock)


class Shift:
    """The loop, while this process holds its lease."""

    def __init__(self, lease: HeldLease, clock: Clock = CLOCK) -> None:
        self._lease = lease
        self.clock = clock
        # SQLite has one writer: more threads would only wait for each other.
        width = 1 if connection.vendor == "sqlite" else THREADS
        # Only the event loop's thread touches endpoint states; threads get and return
        # values.
        self.in_db = DatabaseThreads("loop", width)
        self._states: dict[int, EndpointState] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[UUID] = set()
        self._swept_at = self._fed_at = 0.0
        self.actions = Actions(self)

    async def run(self, seconds: float) -> None:
        """Tick until time is up, the lease is lost, or the process is asked to end."""
        until = self.clock.monotonic() + seconds
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)
        try:
            async with aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            ) as self._session:
                await self.in_db(reconcile.doubt_orphans)
                while self.clock.monotonic() < until and not runner.is_ending.is_set():
                    if self._lease.is_due and not await self.in_db(self._lease.keep):
                        break
                    await self._tick()
                    await self.clock.sleep(conf.TICK_SECONDS)
                await self._drain()
        finally:
            self.in_db.close()

    def spawn(self, action: Coroutine[Any, Any, None]) -> None:
        """Run an action beside the ticks; its errors do not stop them."""
        task = asyncio.create_task(self._guarded(action))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, action: Coroutine[Any, Any, None]) -> None:
        try:
            await action
        except DatabaseError as error:
            logger.warning("database: %s", type(error).__name__)
        except Exception:
            logger.exception("an action of the loop failed")

    # --- one tick ---------------------------------------------------------------------
    async def _tick(self) -> None:
        if self.clock.monotonic() - self._fed_at > conf.BATCH_PAUSE_SECONDS:
            self._fed_at = math.inf  # until this run is done
            self.spawn(self._feed())
        works = await self.in_db(tracking.work)
        for work in works:
            await self._tick_endpoint(await self._state_of(work.endpoint), work)
        if any(work.has_steps for work in works):
            await self._take_steps()
        if self.clock.monotonic() - self._swept_at > 1:
            self._swept_at = self.clock.monotonic()
            await self._stop_losers()

    async def _feed(self) -> None:
        """Advance batches beside the ticks; the loop does not wait for them."""
        try:
            await self.in_db(batches.feed)
        finally:
            self._fed_at = self.clock.monotonic()

    async def _take_steps(self) -> None:
        for pk, unfinished_steps in await self.in_db(
            tracking.due_steps, list(self._busy)
        ):
            self._busy.add(pk)
            self.spawn(self.actions.step(pk, unfinished_steps, self._busy))

    async def _stop_losers(self) -> None:
        """Stop losing attempts even where no job is left: they still cost money."""
        for attempt in await self.in_db(attempts.unwanted, LOSERS_AT_ONCE):
            state = await self._state_of(attempt.job.endpoint)
            self.spawn(self.actions.stop_loser(state, attempt))

    async def _state_of(self, endpoint: Endpoint) -> EndpointState:
        state = self._states.get(endpoint.pk)
        if state is None or state.endpoint.base_url != endpoint.base_url:
            state = await self._begin_state(endpoint)
        state.endpoint = endpoint
        return state

    async def _begin_state(self, endpoint: Endpoint) -> EndpointState:
        """Return what this process knows about an endpoint, or a new, empty state."""
        await self.in_db(sync.time_out_overdue, endpoint)
        state = _known.get(endpoint.pk)
        is_other = state and state.endpoint.base_url != endpoint.base_url
        if state is None or is_other or state.is_stale:
            pace = await self.in_db(_pace_of, endpoint)
            state = EndpointState(endpoint, pace, self.clock)
        url, key = endpoint.base_url, endpoint.client_key
        state.begin_shift(AsyncEndpointClient(self._session, url, key))
        self._states[endpoint.pk] = _known[endpoint.pk] = state
        return state

    async def _tick_endpoint(self, state: EndpointState, work: Work) -> None:
        await self._flush(state)
        if state.look_due():
            state.looked_at = self.clock.monotonic()
            await self.in_db(_look, state, work)
            if state.endpoint.client_key:
                self.spawn(self.actions.ask_health(state))
        room = state.status_room() if work.has_remote else 0
        if room:
            busy = list(state.asking)
            polls = tracking.due_polls
            for poll in await self.in_db(polls, state.endpoint, room, busy):
                state.asks(poll.job_id)
                self.spawn(self.actions.ask(state, poll))
        if work.has_held:
            await self._release(state)

    async def _flush(self, state: EndpointState) -> None:
        """Save when to poll again the jobs whose answers brought nothing new."""
        gathered = state.take_unchanged()
        if gathered:
            await self.in_db(tracking.look_again, gathered)
            state.asking.difference_update(*gathered.values())

    async def _release(self, state: EndpointState) -> None:
        room = state.run_room()
        if not room:
            return
        sending = list(state.sending)
        for job in await self.in_db(_pick, state, room, sending):
            state.sends(job.pk)
            self.spawn(self.actions.send(state, job))

    async def alert(self, state: EndpointState, code: str) -> None:
        """Raise or resolve the alert that an answer calls for."""
        if code == OVER:
            await self.in_db(endpoints.mark_reachable, state.endpoint)
        elif code:
            await self.in_db(alerts.raise_alert, state.endpoint, code)

    # --- the end ----------------------------------------------------------------------
    async def _drain(self) -> None:
        """Wait for actions to end. Whatever has not ended by then is found by its row."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
        for state in self._states.values():
            await self._flush(state)
        unanswered = {pk for c in self._states.values() for pk in c.sending}
        for task in self._tasks:
            task.cancel()
        if unanswered:
            await self.in_db(reconcile.doubt_unanswered, unanswered)


def _pace_of(endpoint: Endpoint) -> Pace:
    low = run_times.quantile(endpoint.pk, LOW_QUANTILE)
    return Pace(tracking.recently_rung(endpoint, SAMPLES), low * 0.9)


def _look(state: EndpointState, work: Work) -> None:
    if work.has_remote:
        state.look()
    if work.has_held:
        release.drop_held(state.endpoint)


def _pick(state: EndpointState, room: int, sending: list[UUID]) -> list[Job]:
    jobs = release.pick(state.endpoint, room, sending)
    window = state.window() if jobs else None
    return jobs if window is None else jobs[:window]
