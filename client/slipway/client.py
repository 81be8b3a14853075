"""The two clients. Each method is a flow (`flows`, `transfers`), driven in two ways."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from slipway import flows, transfers
from slipway.errors import ApiError, SlipwayError
from slipway.flows import Answer, Call, Flow
from slipway.models import Event, Job, Json, Upload
from slipway.transfers import Progress

T = TypeVar("T")
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
See = Callable[[Job], None]


class _Settings:
    """Where the server is, and with which key it is asked."""

    def __init__(self, url: str = "", key: str = "", **options: Any) -> None:
        """Take SLIPWAY_URL and SLIPWAY_KEY where nothing is given."""
        self.url = (url or os.environ.get("SLIPWAY_URL", "")).rstrip("/")
        self._key = key or os.environ.get("SLIPWAY_KEY", "")
        if not self.url or not self._key:
            raise SlipwayError("Give url and key, or set SLIPWAY_URL and SLIPWAY_KEY.")
        self._options = {"timeout": TIMEOUT, "follow_redirects": True, **options}

    def _request(self, call: Call) -> Json:
        url = call.url if "://" in call.url else self.url + call.url
        headers = dict(call.headers)
        if call.with_key:
            headers["Authorization"] = f"Bearer {self._key}"
        request: Json = {"method": call.method, "url": url, "headers": headers}
        return request | {
            name: value
            for name, value in (
                ("json", call.json),
                ("content", call.content),
                ("params", call.params or None),
            )
            if value is not None
        }

    def _events_of(self, id: str) -> Json:
        return self._request(Call("GET", f"{flows.API}/jobs/{id}/events"))


class Client(_Settings):
    """Talks to a Slipway server; blocks until it has an answer."""

    def __init__(self, url: str = "", key: str = "", **options: Any) -> None:
        super().__init__(url, key, **options)
        self._http = httpx.Client(**self._options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _drive(self, flow: Flow[T]) -> T:
        answer: Answer = None
        try:
            while True:
                step = flow.send(answer)
                if isinstance(step, Call):
                    answer = self._send(step)
                else:
                    time.sleep(step.seconds)
                    answer = None
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, call: Call) -> Answer:
        try:
            if call.sink is None:
                return self._http.request(**self._request(call))
            with self._http.stream(**self._request(call)) as response:
                if response.is_success:
                    for piece in response.iter_bytes():
                        call.sink(piece)
                else:
                    response.read()
                return response
        except httpx.TransportError as error:
            return error

    def submit(
        self,
        endpoint: str,
        input: Json,
        *,
        metadata: Json | None = None,
        priority: str = "normal",
        webhook: str | Json | None = None,
        key: str = "",
        see: Progress | None = None,
    ) -> Job:
        """Create a job; every `Path` in `input` is uploaded first.

        `key` makes the same call twice one job, also from two runs of a program.
        """
        sent = self._drive(transfers.with_files(input, see))
        body = flows.body_of(
            endpoint, sent, metadata=metadata, priority=priority, webhook=webhook
        )
        return self._drive(flows.create("/jobs", body, key))

    def run(self, endpoint: str, input: Json, **options: Any) -> Job:
        """Create a job and wait until it is COMPLETED; raise `JobFailed` otherwise."""
        return flows.completed(self.wait(self.submit(endpoint, input, **options).id))

    def wait(self, id: str, see: See | None = None) -> Job:
        """Wait for the end of a job, whatever it is."""
        return self._drive(flows.wait(id, see))

    def job(self, id: str) -> Job:
        """Read a job."""
        return self._drive(flows.job(id))

    def jobs(self, limit: int = 50, **filters: str) -> list[Job]:
        """List jobs, newest first; filters as in the API (status, endpoint, …)."""
        return [Job.of(r) for r in self._drive(flows.pages("/jobs", limit, **filters))]

    def cancel(self, id: str) -> Job:
        """Ask for the end of a job."""
        return Job.of(self._drive(flows.post(f"/jobs/{id}/cancel")))

    def retry(self, id: str) -> Job:
        """Run a job again, as a new one."""
        return self._drive(flows.create(f"/jobs/{id}/retry"))

    def delete(self, id: str) -> None:
        """Delete an ended job and its files."""
        self._drive(flows.delete(f"/jobs/{id}"))

    def submit_batch(self, endpoint: str, **options: Any) -> Json:
        """Create a batch of `items`, or of those in a local `file`, which is sent.

        Options: key, see (progress of the upload), and whatever the API takes: name,
        workers, max_attempts, timeout, batch_size, config, input, field, …
        """
        return self._drive(transfers.create_batch(endpoint, **options))

    def check_batch(self, endpoint: str, **options: Any) -> Json:
        """Look what would become of a batch; nothing is created."""
        return self._drive(transfers.create_batch(endpoint, is_dry=True, **options))

    def batch(self, id: str) -> Json:
        """Read a batch: counts, speed, why items failed."""
        batch: Json = self._drive(flows.get(f"/batches/{id}"))
        return batch

    def retry_failed(self, id: str) -> int:
        """Run the items again that have no result; return how many."""
        return int(self._drive(flows.post(f"/batches/{id}/retry_failed"))["retried"])

    def batch_results(
        self, id: str, target: str | Path, kind: str = "results.ndjson"
    ) -> Path:
        """Fetch all results: "results.ndjson", "failures.ndjson" or "results.zip"."""
        return self._drive(transfers.save(f"/batches/{id}/{kind}", Path(target)))

    def wait_for_batch(
        self, id: str, see: Callable[[Json], None] | None = None
    ) -> Json:
        """Wait until every item of a batch has ended; `counts` says how."""
        return self._drive(flows.wait_for_batch(id, see))

    def batch_items(self, id: str, limit: int = 5000, **filters: str) -> list[Job]:
        """List the jobs of a batch, the last items first."""
        rows = self._drive(flows.pages(f"/batches/{id}/items", limit, **filters))
        return [Job.of(row) for row in rows]

    def upload(self, path: str | Path, see: Progress | None = None) -> Upload:
        """Send a file, or find it there."""
        return self._drive(transfers.upload(Path(path), see))

    def download(
        self, job: Job, folder: str | Path, see: Progress | None = None
    ) -> list[Path]:
        """Fetch the files of a job."""
        return self._drive(transfers.download(job, Path(folder), see))

    def endpoints(self) -> list[Json]:
        """List what can run."""
        return self._drive(flows.pages("/endpoints", 200))

    def endpoint(self, slug: str) -> Json:
        """Read an endpoint with the schema of its input."""
        endpoint: Json = self._drive(flows.get(f"/endpoints/{slug}"))
        return endpoint

    def me(self) -> Json:
        """Who the key belongs to, and what it may do."""
        identity: Json = self._drive(flows.get("/me"))
        return identity

    def events(self, id: str) -> Iterator[Event]:
        """Hear what becomes of a job until it ends; the first event is the whole job."""
        with self._http.stream(**self._events_of(id)) as response:
            if not response.is_success:
                response.read()
                raise ApiError.of(response)
            for one, kind, data in flows.events_in(response.iter_lines()):
                yield Event(one, kind, json.loads(data))


class AsyncClient(_Settings):
    """The same for asyncio."""

    def __init__(self, url: str = "", key: str = "", **options: Any) -> None:
        super().__init__(url, key, **options)
        self._http = httpx.AsyncClient(**self._options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def _drive(self, flow: Flow[T]) -> T:
        answer: Answer = None
        try:
            while True:
                step = flow.send(answer)
                if isinstance(step, Call):
                    answer = await self._send(step)
                else:
                    await asyncio.sleep(step.seconds)
                    answer = None
        except StopIteration as end:
            result: T = end.value
            return result

    async def _send(self, call: Call) -> Answer:
        try:
            if call.sink is None:
                return await self._http.request(**self._request(call))
            async with self._http.stream(**self._request(call)) as response:
                if response.is_success:
                    async for piece in response.aiter_bytes():
                        call.sink(piece)
                else:
                    await response.aread()
                return response
        except httpx.TransportError as error:
            return error

    async def submit(
        self,
        endpoint: str,
        input: Json,
        *,
        metadata: Json | None = None,
        priority: str = "normal",
        webhook: str | Json | None = None,
        key: str = "",
        see: Progress | None = None,
    ) -> Job:
        """As `Client.submit`."""
        sent = await self._drive(transfers.with_files(input, see))
        body = flows.body_of(
            endpoint, sent, metadata=metadata, priority=priority, webhook=webhook
        )
        return await self._drive(flows.create("/jobs", body, key))

    async def run(self, endpoint: str, input: Json, **options: Any) -> Job:
        """As `Client.run`."""
        submitted = await self.submit(endpoint, input, **options)
        return flows.completed(await self.wait(submitted.id))

    async def wait(self, id: str, see: See | None = None) -> Job:
        """As `Client.wait`."""
        return await self._drive(flows.wait(id, see))

    async def job(self, id: str) -> Job:
        """As `Client.job`."""
        return await self._drive(flows.job(id))

    async def jobs(self, limit: int = 50, **filters: str) -> list[Job]:
        """As `Client.jobs`."""
        rows = await self._drive(flows.pages("/jobs", limit, **filters))
        return [Job.of(row) for row in rows]

    async def cancel(self, id: str) -> Job:
        """As `Client.cancel`."""
        return Job.of(await self._drive(flows.post(f"/jobs/{id}/cancel")))

    async def retry(self, id: str) -> Job:
        """As `Client.retry`."""
        return await self._drive(flows.create(f"/jobs/{id}/retry"))

    async def delete(self, id: str) -> None:
        """As `Client.delete`."""
        await self._drive(flows.delete(f"/jobs/{id}"))

    async def submit_batch(self, endpoint: str, **options: Any) -> Json:
        """As `Client.submit_batch`."""
        return await self._drive(transfers.create_batch(endpoint, **options))

    async def check_batch(self, endpoint: str, **options: Any) -> Json:
        """As `Client.check_batch`."""
        arguments = {**options, "is_dry": True}
        return await self._drive(transfers.create_batch(endpoint, **arguments))

    async def batch(self, id: str) -> Json:
        """As `Client.batch`."""
        batch: Json = await self._drive(flows.get(f"/batches/{id}"))
        return batch

    async def retry_failed(self, id: str) -> int:
        """As `Client.retry_failed`."""
        answer = await self._drive(flows.post(f"/batches/{id}/retry_failed"))
        return int(answer["retried"])

    async def batch_results(
        self, id: str, target: str | Path, kind: str = "results.ndjson"
    ) -> Path:
        """As `Client.batch_results`."""
        return await self._drive(transfers.save(f"/batches/{id}/{kind}", Path(target)))

    async def wait_for_batch(
        self, id: str, see: Callable[[Json], None] | None = None
    ) -> Json:
        """As `Client.wait_for_batch`."""
        return await self._drive(flows.wait_for_batch(id, see))

    async def batch_items(
        self, id: str, limit: int = 5000, **filters: str
    ) -> list[Job]:
        """As `Client.batch_items`."""
        rows = await self._drive(flows.pages(f"/batches/{id}/items", limit, **filters))
        return [Job.of(row) for row in rows]

    async def upload(self, path: str | Path, see: Progress | None = None) -> Upload:
        """As `Client.upload`."""
        return await self._drive(transfers.upload(Path(path), see))

    async def download(
        self, job: Job, folder: str | Path, see: Progress | None = None
    ) -> list[Path]:
        """As `Client.download`."""
        return await self._drive(transfers.download(job, Path(folder), see))

    async def endpoints(self) -> list[Json]:
        """As `Client.endpoints`."""
        return await self._drive(flows.pages("/endpoints", 200))

    async def endpoint(self, slug: str) -> Json:
        """As `Client.endpoint`."""
        endpoint: Json = await self._drive(flows.get(f"/endpoints/{slug}"))
        return endpoint

    async def me(self) -> Json:
        """As `Client.me`."""
        identity: Json = await self._drive(flows.get("/me"))
        return identity

    async def events(self, id: str) -> AsyncIterator[Event]:
        """As `Client.events`."""
        async with self._http.stream(**self._events_of(id)) as response:
            if not response.is_success:
                await response.aread()
                raise ApiError.of(response)
            lines: list[str] = []
            async for line in response.aiter_lines():
                lines.append(line)
                if not line:
                    for one, kind, data in flows.events_in(lines):
                        yield Event(one, kind, json.loads(data))
                    lines.clear()
