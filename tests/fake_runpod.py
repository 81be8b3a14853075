"""A scripted RunPod in a process of its own: job API, workers, webhooks, limits, faults.

    python -m tests.fake_runpod PORT

It behaves as RunPod's documents say (`/v2/<endpoint>/run status cancel purge-queue
health`): a first-in-first-out queue, `workers` workers, 429 over its limits, webhooks
that are tried three times, results forgotten after 30 minutes, jobs deleted at their
ttl. Every endpoint id has a queue of its own. A job with our envelope is done by our real
handler in a thread; any other takes `input.seconds` and answers `{"echo": input}`.

    POST /_script    {"endpoint": "ep1", "workers": 1, "webhooks": 1, "drop": 0.1,
                      "early": true, "double": false, "output": null, "limits": false, "gone": false,
                      "skip": 1800, "failing": 0.05, "doomed": [{"n": 7}],
                      "faults": [{"route": "run", "fault": "429", "times": 2}]}
    GET  /_journal   every accepted run: [{"id", "input", "started", "ended", "runs"}]
    GET  /_counts    {route: requests, "429": refusals}

`failing` is the share of attempts that fail, `doomed` are items that fail whenever a
payload begins with them.

`skip` puts RunPod's own clock forward by so many seconds: thirty minutes pass at once.

Faults: "429" "500" "502" (HTML) "401" "402" "garbage" "deep" "nan" "unknown_job"
"unknown_endpoint" "hang", "trickle", "cut_before" (closed without an answer, nothing
done), "cut_after" (done, then closed), "regress" (a status from before the end).

Inputs: seconds, fail (FAILED with this text), progress (posted while running),
no_output (COMPLETED without one).
"""

import asyncio
import contextlib
import json
import random
import sys
import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

ANSWERS: dict[str, tuple[int, bytes]] = {
    "429": (429, b""),
    "500": (500, b'{"error":"internal"}'),
    "502": (502, b"<html><h1>502 Bad Gateway</h1></html>"),
    "401": (401, b""),
    "402": (402, b'{"error":"insufficient balance"}'),
    "garbage": (200, b'{"id": "x'),
    "deep": (200, b"[" * 100_000),
    "nan": (200, b'{"id": NaN, "status": Infinity}'),
    "unknown_job": (404, b'{"detail":"job not found"}'),
    "unknown_endpoint": (404, b'{"message":"Not Found"}'),
}
ENDS = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}
# Requests in ten seconds, by route (operation-reference).
LIMITS = {"run": 1000, "status": 2000, "cancel": 100, "purge-queue": 2}
FORGET_SECONDS = 30 * 60
WEBHOOK_PAUSE = 10.0
HANDLER = Path(__file__).parent.parent / "worker_handler"


@dataclass
class RemoteJob:
    id: str
    input: dict[str, Any]
    webhook: str
    ttl: float
    accepted: float
    status: str = "IN_QUEUE"
    started: float = 0.0
    ended: float = 0.0
    output: Any = None
    error: Any = None
    runs: int = 0

    def answer(self) -> dict[str, Any]:
        body: dict[str, Any] = {"id": self.id, "status": self.status}
        if self.started:
            body["delayTime"] = int((self.started - self.accepted) * 1000)
            body["workerId"] = "fake"
        if self.status == "COMPLETED":
            body["executionTime"] = int((self.ended - self.started) * 1000)
            if not self.input.get("no_output"):
                body["output"] = self.output
        elif self.status == "IN_PROGRESS" and "progress" in self.input:
            body["output"] = self.input["progress"]
        if self.status == "FAILED":
            body["error"] = self.error
        return body

    def row(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in ("id", "input", "status", "started", "ended", "runs")
        }


class FakeRunPod:
    """One endpoint."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.jobs: dict[str, RemoteJob] = {}
        self.waiting: asyncio.Queue[RemoteJob] = asyncio.Queue()
        self.journal: list[RemoteJob] = []
        self.requests: Counter[str] = Counter()
        self.recent = {route: deque[float]() for route in LIMITS}
        self.tally: Counter[str] = Counter()
        self.workers: list[asyncio.Task[None]] = []
        self.late: set[asyncio.Task[None]] = set()
        self.http = http
        self.skipped = 0.0
        self.script({})

    def clock(self) -> float:
        return time.time() + self.skipped

    def script(self, wanted: dict[str, Any]) -> None:
        self.faults = [dict(fault) for fault in wanted.get("faults", [])]
        self.webhooks = wanted.get("webhooks", 1)
        self.drop = wanted.get("drop", 0.0)
        self.failing = wanted.get("failing", 0.0)
        self.doomed = wanted.get("doomed", [])
        self.early = wanted.get("early", False)
        self.double = wanted.get("double", False)
        self.output = wanted.get("output")
        self.skipped += wanted.get("skip", 0)
        self.limits = wanted.get("limits", False)
        self.gone = wanted.get("gone", False)
        self.forget_after = wanted.get("forget_after", FORGET_SECONDS)
        count = wanted.get("workers", 1)
        for worker in self.workers[count:]:
            worker.cancel()
        self.workers = self.workers[:count]
        while len(self.workers) < count:
            self.workers.append(asyncio.create_task(self._work()))

    # --- workers ----------------------------------------------------------------------
    async def _work(self) -> None:
        while True:
            job = await self.waiting.get()
            if job.status != "IN_QUEUE":
                continue
            try:
                await self._do(job)
            except asyncio.CancelledError:
                if job.status == "IN_PROGRESS":  # the worker is gone; back to the queue
                    self._put(job, "IN_QUEUE")
                    self.waiting.put_nowait(job)
                raise

    async def _do(self, job: RemoteJob) -> None:
        self._put(job, "IN_PROGRESS")
        job.started = self.clock()
        for _ in range(2 if self.double else 1):
            job.runs += 1
            answer = await self._run_handler(job)
        if job.status != "IN_PROGRESS":
            return
        job.error = answer.get("error") or job.input.get("fail")
        if self._is_to_fail(job.input.get("payload", True)):
            job.error = "CUDA error: an illegal memory access was encountered"
        job.output = answer.get("output")
        await self._end(job, "FAILED" if job.error else "COMPLETED")

    def _is_to_fail(self, payload: Any) -> bool:
        if not payload:
            return False
        if isinstance(payload, list) and payload[0] in self.doomed:
            return True
        return random.random() < self.failing

    async def _run_handler(self, job: RemoteJob) -> dict[str, Any]:
        if "_slipway" in job.input:
            sys.path[:0] = [p for p in [str(HANDLER)] if p not in sys.path]
            from slipway_worker.handler import handler  # noqa: PLC0415 - only some tests need it

            answer = await handler({"id": job.id, "input": job.input})
            return answer if "error" in answer else {"output": answer}
        await asyncio.sleep(job.input.get("seconds", 0))
        return {"output": self.output or {"echo": job.input}}

    def _put(self, job: RemoteJob, status: str) -> None:
        self.tally[job.status] -= 1
        self.tally[status] += 1
        job.status = status

    async def _end(self, job: RemoteJob, status: str) -> None:
        job.ended = self.clock()
        self._put(job, status)
        if job.webhook and not random.random() < self.drop:
            self._later(self._ring(job, self.webhooks))

    def _later(self, what: Any) -> None:
        task = asyncio.create_task(what)
        self.late.add(task)
        task.add_done_callback(self.late.discard)

    async def _ring(self, job: RemoteJob, times: int) -> None:
        for _ in range(times):
            for _ in range(3):
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with self.http.post(job.webhook, json=job.answer()) as heard:
                        if heard.status == 200:
                            break
                await asyncio.sleep(WEBHOOK_PAUSE)

    # --- the job API ------------------------------------------------------------------
    def fault_for(self, route: str) -> str:
        if self.gone:
            return "unknown_endpoint"
        for fault in self.faults:
            if fault["route"] == route and fault.get("times", 1) > 0:
                fault["times"] = fault.get("times", 1) - 1
                return str(fault["fault"])
        return ""

    def is_over_limit(self, route: str) -> bool:
        self.requests[route] += 1
        recent = self.recent.get(route)
        if recent is None:
            return False
        now = time.monotonic()
        while recent and recent[0] < now - 10:
            recent.popleft()
        if self.limits and len(recent) >= LIMITS[route]:
            self.requests["429"] += 1
            return True
        recent.append(now)
        return False

    async def call(self, route: str, id: str, body: Any) -> tuple[int, Any]:
        if route == "run":
            return await self._run(body)
        if route == "purge-queue":
            return self._purge()
        if route == "health":
            return 200, self._health()
        job = self._known(id)
        if job is None:
            return 404, {"detail": "job not found"}
        if route == "cancel" and job.status not in ENDS:
            await self._end(job, "CANCELLED")
        return 200, job.answer()

    def _known(self, id: str) -> RemoteJob | None:
        job = self.jobs.get(id)
        if job is None:
            return None
        now = self.clock()
        is_old = job.ended and now - job.ended > self.forget_after
        if is_old or now - job.accepted > job.ttl:
            del self.jobs[id]
            return None
        return job

    async def _run(self, body: Any) -> tuple[int, Any]:
        if not body.get("input"):
            return 400, {"detail": "input is required"}
        ttl = body.get("policy", {}).get("ttl", 24 * 3600 * 1000) / 1000
        webhook = body.get("webhook", "")
        id = f"{uuid.uuid4()}-u1"
        job = RemoteJob(id, body["input"], webhook, ttl, self.clock())
        self.jobs[job.id] = job
        self.journal.append(job)
        self.tally["IN_QUEUE"] += 1
        self.waiting.put_nowait(job)
        if self.early and webhook:  # before our answer, and claiming an end
            forged = {"id": job.id, "status": "COMPLETED", "output": "forged"}
            async with self.http.post(webhook, json=forged):
                pass
        return 200, {"id": job.id, "status": "IN_QUEUE"}

    def _purge(self) -> tuple[int, Any]:
        queued = [id for id, job in self.jobs.items() if job.status == "IN_QUEUE"]
        for id in queued:
            self._put(self.jobs.pop(id), "PURGED")
        return 200, {"removed": len(queued), "status": "completed"}

    def _health(self) -> Any:
        running = self.tally["IN_PROGRESS"]
        return {
            "jobs": {
                "inQueue": self.tally["IN_QUEUE"],
                "inProgress": running,
                "completed": self.tally["COMPLETED"],
                "failed": self.tally["FAILED"],
            },
            "workers": {"running": running, "idle": len(self.workers) - running},
        }


class Server:
    """Just enough HTTP/1.1 to answer, to be silent, and to hang up."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.endpoints: dict[str, FakeRunPod] = {}

    def endpoint(self, name: str) -> FakeRunPod:
        if name not in self.endpoints:
            self.endpoints[name] = FakeRunPod(self.http)
        return self.endpoints[name]

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
        status, content, is_slow = answer
        writer.write(
            f"HTTP/1.1 {status} Fake\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode()
        )
        for start in range(0, len(content), 1) if is_slow else ():
            writer.write(content[start : start + 1])
            await asyncio.sleep(1)
        writer.write(b"" if is_slow else content)
        await writer.drain()
        return True

    async def _answer(self, path: str, body: Any) -> tuple[int, bytes, bool] | None:
        path, _, query = path.partition("?")
        if path.startswith("/_"):
            name = body.get("endpoint") or query or "ep1"
            return 200, self._told(path, self.endpoint(name), body), False
        _, _, name, route, *rest = f"{path}/".split("/")
        runpod = self.endpoint(name)
        if runpod.is_over_limit(route):
            return 429, b"", False
        fault = runpod.fault_for(route)
        if fault in ANSWERS:
            return *ANSWERS[fault], False
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "cut_before":
            return None
        status, content = await runpod.call(route, rest[0], body)
        if fault == "regress" and content.get("status") in ENDS:
            content = {"id": content["id"], "status": "IN_PROGRESS", "output": "late"}
        if fault == "cut_after":
            return None
        return status, json.dumps(content).encode(), fault == "trickle"

    def _told(self, path: str, runpod: FakeRunPod, body: Any) -> bytes:
        if path == "/_script":
            runpod.script(body)
        if path == "/_journal":
            return json.dumps([job.row() for job in runpod.journal]).encode()
        if path == "/_counts":
            return json.dumps(runpod.requests).encode()
        return b"{}"


async def main(port: int) -> None:
    connector = aiohttp.TCPConnector(limit=64)
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        server = Server(http)
        listening = await asyncio.start_server(
            server.serve, "127.0.0.1", port, backlog=1024
        )
        async with listening:
            await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
