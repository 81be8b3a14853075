"""Live updates: one database reader per process, however many clients listen.

Pages hear that something changed and fetch what they show; programs get the whole job.
The number of listeners does not change how often the reader queries: the same queries
cover all watched jobs.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import DatabaseError

from jobs.lib import conf
from jobs.lib.threads import in_thread
from jobs.models import ApiKey, Job
from jobs.services.lifecycle.job_json import PREFETCHED, Json, job_json
from jobs.services.lifecycle.jobs import queue_positions
from jobs.states import ENDS, WAITING

logger = logging.getLogger(__name__)
CHECK_SECONDS = 5.0
AT_ONCE = 500


@dataclass(frozen=True)
class State:
    """A job as the reader saw it; `job` is set if a listener wants all of it."""

    revision: int
    status: str
    job: Json | None = None
    # Why the job waits, from its endpoint's diagnosis, which changes without the job.
    cause: str = ""

    @property
    def mark(self) -> tuple[int, str]:
        """The values that change when there is something new to show."""
        return self.revision, self.cause

    @property
    def has_ended(self) -> bool:
        """Whether no more changes will come."""
        return self.status in ENDS


@dataclass(eq=False)
class Listener:
    """A client that watches a job; `key_id` is None for a browser."""

    user_id: int
    key_id: int | None = None
    is_whole: bool = False
    states: asyncio.Queue[State | None] = field(default_factory=asyncio.Queue)


class Hub:
    """Reads the watched jobs repeatedly and sends changes to their listeners."""

    def __init__(self) -> None:
        self._listeners: dict[UUID, set[Listener]] = defaultdict(set)
        self._known: dict[UUID, State] = {}
        self._reader: asyncio.Task[None] | None = None
        self._checked_at = 0.0

    async def states(self, pk: UUID, listener: Listener) -> AsyncIterator[State | None]:
        """Yield the job's state now and after every change; None as a heartbeat.

        Ends when the job is deleted or the listener loses its access.
        """
        pause = conf.LIVE_HEARTBEAT_SECONDS
        self._listeners[pk].add(listener)
        known = self._known.get(pk)
        if known and (known.job or not listener.is_whole):
            listener.states.put_nowait(known)
        else:
            self._known.pop(pk, None)  # read again, with the whole job
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        try:
            while True:
                try:
                    state = await asyncio.wait_for(listener.states.get(), pause)
                except TimeoutError:
                    yield None
                    continue
                if state is None:
                    return
                yield state
        finally:
            self._leave(pk, listener)

    async def end(self, pk: UUID, listener: Listener, seconds: float) -> bool:
        """Wait for the end of a job; return False if it did not end in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for state in self.states(pk, listener):
                    if state and state.has_ended:
                        return True
        return False

    def _leave(self, pk: UUID, listener: Listener) -> None:
        self._listeners[pk].discard(listener)
        if not self._listeners[pk]:
            del self._listeners[pk]
            self._known.pop(pk, None)

    async def _read(self) -> None:
        while self._listeners:
            wanted = list(self._listeners)
            try:
                for start in range(0, len(wanted), AT_ONCE):
                    await self._read_some(wanted[start : start + AT_ONCE])
                if time.monotonic() - self._checked_at > CHECK_SECONDS:
                    self._checked_at = time.monotonic()
                    await self._turn_out()
            except DatabaseError as error:
                logger.warning("live: database: %s", type(error).__name__)
            await asyncio.sleep(conf.LIVE_PAUSE_SECONDS)

    async def _read_some(self, pks: list[UUID]) -> None:
        known = {pk: s.mark for pk in pks if (s := self._known.get(pk))}
        whole = {
            pk for pk in pks if any(one.is_whole for one in self._listeners.get(pk, ()))
        }
        for pk, state in (await in_thread(_changed, pks, known, whole)).items():
            listeners = self._listeners.get(pk, set())
            if state is not None:
                if state.job is None and any(one.is_whole for one in listeners):
                    continue  # a new listener wants the whole job: read it next time
                if listeners:
                    self._known[pk] = state
            for listener in listeners:
                listener.states.put_nowait(state)

    async def _turn_out(self) -> None:
        """End the streams of listeners that have lost their access."""
        everybody = [one for listeners in self._listeners.values() for one in listeners]
        users = {one.user_id for one in everybody}
        keys = {one.key_id for one in everybody if one.key_id}
        good_users, good_keys = await in_thread(_welcome, users, keys)
        for one in everybody:
            is_good = one.user_id in good_users
            if one.key_id and one.key_id not in good_keys:
                is_good = False
            if not is_good:
                one.states.put_nowait(None)


hub = Hub()


def _changed(
    pks: list[UUID], known: dict[UUID, tuple[int, str]], whole: Collection[UUID]
) -> dict[UUID, State | None]:
    """Return the jobs among `pks` that differ from `known`; None: deleted."""
    columns = ("pk", "revision", "status", "endpoint__diagnosis__cause")
    states = {
        pk: State(revision, status, cause=cause or "" if status in WAITING else "")
        for pk, revision, status, cause in Job.objects.filter(pk__in=pks).values_list(
            *columns
        )
    }
    changed: dict[UUID, State | None] = {
        pk: states.get(pk)
        for pk in pks
        if pk not in states or known.get(pk) != states[pk].mark
    }
    wanted = [pk for pk in changed if pk in whole and pk in states]
    if not wanted:
        return changed
    jobs = list(
        Job.objects.filter(pk__in=wanted).with_endpoint().prefetch_related(*PREFETCHED)
    )
    positions = queue_positions(jobs)
    for job in jobs:
        shown = job_json(job, position=positions.get(job.pk))
        cause = states[job.pk].cause
        changed[job.pk] = State(job.revision, job.status, shown, cause)
    return changed


def _welcome(users: set[int], keys: set[Any]) -> tuple[set[int], set[int]]:
    active_users = get_user_model().objects.filter(pk__in=users, is_active=True)
    usable = (
        ApiKey.objects.usable().filter(pk__in=keys) if keys else ApiKey.objects.none()
    )
    return set(active_users.values_list("pk", flat=True)), set(
        usable.values_list("pk", flat=True)
    )
