"""A scripted RunPod behind an httpx transport."""

import json
from typing import Any

import httpx

from jobs.runpod import EndpointClient

JOB_NOT_FOUND = (404, {"detail": "job not found"})
ENDPOINT_NOT_FOUND = (404, {"message": "Not Found"})


class FakeRunPod:
    """Answers as told, and remembers what was asked.

    `run_answer`, `status_answer`: (HTTP status, JSON or bytes) or an exception.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.run_answer: Any = (200, {"id": "job-u1", "status": "IN_QUEUE"})
        self.status_answer: Any = (200, {"id": "job-u1", "status": "IN_QUEUE"})
        self.cancel_answer: Any = (200, {"id": "job-u1", "status": "CANCELLED"})
        self.purge_answer: Any = (200, {"removed": 1, "status": "completed"})

    def client(self) -> EndpointClient:
        transport = httpx.MockTransport(self._answer)
        return EndpointClient("https://runpod.test/v2/ep", "key", transport)

    def says(self, status: str, **fields: Any) -> None:
        """Set what /status answers."""
        self.status_answer = (200, {"id": "job-u1", "status": status, **fields})

    def runs(self) -> list[Any]:
        """Return the bodies of every /run."""
        return [body for path, body in self.calls if path == "run"]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v2/ep/").partition("/")[0]
        body = json.loads(request.content) if request.content else None
        self.calls.append((path, body))
        answer = getattr(self, f"{path.partition('-')[0]}_answer")
        if isinstance(answer, Exception):
            raise answer
        status, content = answer
        if isinstance(content, bytes):
            return httpx.Response(status, content=content)
        return httpx.Response(status, json=content)
