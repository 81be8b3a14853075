"""RunPod's webhook rings here: it only makes the loop look at the job.

Its body is not believed. Only where we never learned RunPod's id of an attempt, the id
in it says which job to poll; RunPod's answer to that poll decides.

Mounted by `webapp/asgi.py` in front of Django: it rings for every job, a hundred times a
second when many end at once, so rings are gathered for a moment and written together.
"""

import asyncio
from typing import Any
from uuid import UUID

from jobs.asgi.messages import BodyTooLarge, Gone, Receive, Send, answer, read_body
from jobs.lib import clean_json, links
from jobs.lib.errors import LinkRefused
from jobs.lib.threads import in_thread
from jobs.services.lifecycle import attempts

PATH = "/hooks/runpod/"
GATHER_SECONDS = 0.03
MAX_BODY = 1024 * 1024


def doorbell_for(scope: dict[str, Any]) -> Any:
    """Return the receiver of a ring, or None for everybody else."""
    is_ring = scope["type"] == "http" and scope["path"].startswith(PATH)
    return doorbell.receive if is_ring else None


class Doorbell:
    """Gathers rings; answers each when it is written down."""

    def __init__(self) -> None:
        self._rung: dict[UUID, bytes] = {}
        self._writing: asyncio.Task[set[UUID]] | None = None

    async def receive(
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """Answer one webhook: 200, or 404 when its secret is not ours."""
        status = 405
        if scope["method"] == "POST":
            pk = _attempt_of(scope["path"])
            try:
                body = await read_body(scope, receive, MAX_BODY)
            except (BodyTooLarge, Gone):
                body = b""  # that it rings is what counts
            is_known = pk is not None and pk in await self._ring(pk, body)
            status = 200 if is_known else 404
        await answer(send, status)

    async def _ring(self, pk: UUID, body: bytes) -> set[UUID]:
        self._rung[pk] = body
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await asyncio.shield(self._writing)

    async def _write(self) -> set[UUID]:
        await asyncio.sleep(GATHER_SECONDS)
        rung, self._rung, self._writing = self._rung, {}, None
        return await in_thread(
            attempts.ring, {pk: lambda b=body: _id_in(b) for pk, body in rung.items()}
        )


doorbell = Doorbell()


def _attempt_of(path: str) -> UUID | None:
    try:
        return UUID(links.read(links.DOORBELL, path.removeprefix(PATH)))
    except (LinkRefused, ValueError):
        return None


def _id_in(body: bytes) -> str:
    try:
        payload = clean_json.lenient(body)
    except ValueError:
        return ""
    id = payload.get("id") if isinstance(payload, dict) else None
    return id if isinstance(id, str) else ""
