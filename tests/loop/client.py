"""A shift that only does errands, and a client that answers as it is told."""

import asyncio

from asgiref.sync import async_to_sync, sync_to_async

from jobs.runpod import Health, RemoteJob
from jobs.shifts.loop.actions import Errands
from jobs.shifts.loop.endpoint_state import Channel
from jobs.shifts.loop.pace import Pace


class ScriptedClient:
    """Stands for `AsyncEndpointClient`; an answer is a value, or an error to raise."""

    def __init__(self):
        self.runs, self.asked, self.cancelled = [], [], []
        queued = RemoteJob("job-u1", "IN_QUEUE")
        health = Health(jobs={}, workers={})
        self.answers = {"run": queued, "status": queued, "health": health}
        self.answers["cancel"] = RemoteJob("job-u1", "CANCELLED")
        self.meanwhile = lambda: None  # done while an answer is on its way

    async def run(self, input, *, policy, webhook):
        self.runs.append((input, policy, webhook))
        return await self._answer("run")

    async def status(self, runpod_id):
        self.asked.append(runpod_id)
        return await self._answer("status")

    async def cancel(self, runpod_id):
        self.cancelled.append(runpod_id)
        return await self._answer("cancel")

    async def health(self):
        return await self._answer("health")

    async def _answer(self, route):
        await sync_to_async(self.meanwhile)()
        answer = self.answers[route]
        if isinstance(answer, Exception):
            raise answer
        return answer


class ErrandLoop:
    """What errands need of a shift; database work is done in the test's own thread."""

    def __init__(self, endpoint, clock):
        self.clock, self.alerts = clock, []
        self.client = ScriptedClient()
        self.channel = self.channel_of(endpoint, self.client)
        self.errands = Errands(self)

    def channel_of(self, endpoint, client):
        channel = Channel(endpoint, Pace([], 0), self.clock)
        channel.begin_shift(client)
        return channel

    async def in_db(self, function, *args, **kwargs):
        return await sync_to_async(function)(*args, **kwargs)

    async def alert(self, channel, code):
        if code:
            self.alerts.append(code)

    def do(self, errand, *args):
        """Do an errand to its end."""
        async_to_sync(errand)(*args)

    def do_all(self, *errands):
        """Do errands side by side: (errand, its arguments…)."""

        async def together():
            await asyncio.gather(*(errand(*args) for errand, *args in errands))

        async_to_sync(together)()
