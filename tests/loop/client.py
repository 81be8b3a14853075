"""A shift that only does actions, and a client that answers as it is told."""

import asyncio

from asgiref.sync import async_to_sync, sync_to_async

from jobs.runpod import Health, RemoteJob
from jobs.shifts.loop.actions import Actions
from jobs.shifts.loop.endpoint_state import EndpointState
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


class StandInLoop:
    """What actions need of a shift; database work is done in the test's own thread."""

    def __init__(self, endpoint, clock):
        self.clock, self.alerts = clock, []
        self.client = ScriptedClient()
        self.state = self.state_of(endpoint, self.client)
        self.actions = Actions(self)

    def state_of(self, endpoint, client):
        state = EndpointState(endpoint, Pace([], 0), self.clock)
        state.begin_shift(client)
        return state

    async def in_db(self, function, *args, **kwargs):
        return await sync_to_async(function)(*args, **kwargs)

    async def alert(self, state, code):
        if code:
            self.alerts.append(code)

    def do(self, action, *args):
        """Do an action to its end."""
        async_to_sync(action)(*args)

    def do_all(self, *actions):
        """Do actions side by side: (action, its arguments…)."""

        async def together():
            await asyncio.gather(*(action(*args) for action, *args in actions))

        async_to_sync(together)()
