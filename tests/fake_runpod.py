"""A scripted RunPod in a process of its own: job API, workers, webhooks, faults.

    python -m tests.fake_runpod PORT

It behaves as RunPod's documents say (`/v2/<endpoint>/run status cancel purge-queue
health`), runs each job for `input.seconds` on `workers` workers, and answers with
`{"echo": input}`. Tests steer it by HTTP:

    POST /_script   {"faults": [{"route": "run", "fault": "429", "times": 2}], "workers": 1,
                     "webhooks": 1, "forget_after": 1800}
    GET  /_journal  every accepted run: [{"id", "input", "started", "ended"}]

Faults: "429" "500" "502" (HTML) "garbage" "unknown_job" "unknown_endpoint" "hang", "cut_before"
(closed without an answer, nothing done) and "cut_after" (done, then closed).
"""

import asyncio
import contextlib
import json
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

ANSWERS: dict[str, tuple[int, bytes]] = {
    "429": (429, b""),
    "500": (500, b'{"error":"internal"}'),
    "502": (502, b"<html><h1>502 Bad Gateway</h1></html>"),
    "garbage": (200, b'{"id": "x'),
    "unknown_job": (404, b'{"detail":"job not found"}'),
    "unknown_endpoint": (404, b'{"message":"Not Found"}'),
}
ENDS = {"COMPLETED", "FAILED", "CANCELLED"}


@dataclass
class RemoteJob:
    id: str
    input: dict[str, Any]
    webhook: str
    status: str = "IN_QUEUE"
    accepted: float = field(default_factory=time.time)
    started: float = 0.0
    ended: float = 0.0

    def answer(self) -> dict[str, Any]:
        body: dict[str, Any] = {"id": self.id, "status": self.status}
        if self.started:
            body |= {
                "delayTime": int((self.started - self.accepted) * 1000),
                "workerId": "fake",
            }
        if self.status == "COMPLETED":
            body |= {"output": {"echo": self.input}}
            body["executionTime"] = int((self.ended - self.started) * 1000)
        if self.status == "FAILED":
            body["error"] = self.input["fail"]
        return body


class FakeRunPod:
    def __init__(self) -> None:
        self.jobs: dict[str, RemoteJob] = {}
        self.waiting: asyncio.Queue[RemoteJob] = asyncio.Queue()
        self.journal: list[RemoteJob] = []
        self.faults: list[dict[str, Any]] = []
        self.webhooks = 1
        self.forget_after = 1800.0
        self.workers: list[asyncio.Task[None]] = []
        self.http = httpx.AsyncClient(trust_env=False, timeout=5)

    def script(self, wanted: dict[str, Any]) -> None:
        self.faults = [dict(fault) for fault in wanted.get("faults", [])]
        self.webhooks = wanted.get("webhooks", 1)
        self.forget_after = wanted.get("forget_after", 1800.0)
        for worker in self.workers:
            worker.cancel()
        count = wanted.get("workers", 1)
        self.workers = [asyncio.create_task(self._work()) for _ in range(count)]

    async def _work(self) -> None:
        while True:
            job = await self.waiting.get()
            if job.status != "IN_QUEUE":
                continue
            job.status, job.started = "IN_PROGRESS", time.time()
            await asyncio.sleep(job.input.get("seconds", 0))
            if job.status == "IN_PROGRESS":
                await self._end(job, "FAILED" if job.input.get("fail") else "COMPLETED")

    async def _end(self, job: RemoteJob, status: str) -> None:
        job.status, job.ended = status, time.time()
        for _ in range(self.webhooks if job.webhook else 0):
            with contextlib.suppress(httpx.HTTPError):
                await self.http.post(job.webhook, json=job.answer())

    def fault_for(self, route: str) -> str:
        for fault in self.faults:
            if fault["route"] == route and fault.get("times", 1) > 0:
                fault["times"] = fault.get("times", 1) - 1
                return str(fault["fault"])
        return ""

    async def call(self, route: str, id: str, body: Any) -> tuple[int, Any]:
        if route == "run":
            return self._run(body)
        if route == "purge-queue":
            return self._purge()
        if route == "health":
            return 200, self._health()
        job = self.jobs.get(id)
        if job is None or (job.ended and time.time() - job.ended > self.forget_after):
            return 404, {"detail": "job not found"}
        if route == "cancel" and job.status not in ENDS:
            await self._end(job, "CANCELLED")
        return 200, job.answer()

    def _run(self, body: Any) -> tuple[int, Any]:
        if not body.get("input"):
            return 400, {"detail": "input is required"}
        job = RemoteJob(f"{uuid.uuid4()}-u1", body["input"], body.get("webhook", ""))
        self.jobs[job.id] = job
        self.journal.append(job)
        self.waiting.put_nowait(job)
        return 200, {"id": job.id, "status": "IN_QUEUE"}

    def _purge(self) -> tuple[int, Any]:
        queued = [id for id, job in self.jobs.items() if job.status == "IN_QUEUE"]
        for id in queued:
            self.jobs.pop(id).status = "PURGED"
        return 200, {"removed": len(queued), "status": "completed"}

    def _health(self) -> Any:
        def count(status: str) -> int:
            return sum(job.status == status for job in self.jobs.values())

        running = count("IN_PROGRESS")
        return {
            "jobs": {"inQueue": count("IN_QUEUE"), "inProgress": running},
            "workers": {"running": running, "idle": len(self.workers) - running},
        }


class Server:
    """Just enough HTTP/1.1 to answer, to be silent, and to hang up."""

    def __init__(self) -> None:
        self.runpod = FakeRunPod()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        _, path, _ = head[0].split(" ")
        headers = {
            k.lower(): v.strip() for k, _, v in (h.partition(":") for h in head[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        answer = await self._answer(path, json.loads(body) if body else {})
        if answer is None:
            return False
        status, content = answer
        writer.write(
            f"HTTP/1.1 {status} Fake\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        await writer.drain()
        return True

    async def _answer(self, path: str, body: Any) -> tuple[int, bytes] | None:
        if path == "/_script":
            self.runpod.script(body)
            return 200, b"{}"
        if path == "/_journal":
            rows = [
                {"id": j.id, "input": j.input, "started": j.started, "ended": j.ended}
                for j in self.runpod.journal
            ]
            return 200, json.dumps(rows).encode()
        _, _, _, route, *rest = f"{path}/".split("/")
        fault = self.runpod.fault_for(route)
        if fault in ANSWERS:
            return ANSWERS[fault]
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "cut_before":
            return None
        status, content = await self.runpod.call(route, rest[0], body)
        return None if fault == "cut_after" else (status, json.dumps(content).encode())


async def main(port: int) -> None:
    server = Server()
    server.runpod.script({})
    async with await asyncio.start_server(server.serve, "127.0.0.1", port) as listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
