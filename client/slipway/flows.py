"""What is asked of the server, and in which order: written once, driven twice.

A flow is a generator. It yields a `Call` and is sent the answer, or the error there was;
it yields a `Pause` to let time pass. `Client` drives it with blocking calls,
`AsyncClient` with awaited ones.
"""

import uuid
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from slipway.errors import ApiError, JobFailed, NoConnection
from slipway.models import Job, Json

T = TypeVar("T")
API = "/api/v1"
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
TRY_AGAIN = {429, 502, 503, 504}
WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Call:
    """One request. With `sink` the body is streamed there if the answer is a success."""

    method: str
    url: str
    json: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    sink: Callable[[bytes], None] | None = None
    with_key: bool = True
    is_safe: bool = True  # to be sent again


@dataclass(frozen=True)
class Pause:
    """Let some seconds pass."""

    seconds: float


Answer = httpx.Response | httpx.TransportError | None
Flow = Generator[Call | Pause, Answer, T]


def asked(call: Call) -> Flow[httpx.Response]:
    """Send a request until there is an answer; raise `ApiError` or `NoConnection`."""
    for pause in (*PAUSES, None):
        answer = yield call
        if isinstance(answer, httpx.Response):
            if answer.is_success or answer.status_code == 304:
                return answer
            error: Exception = ApiError.of(answer)
            if answer.status_code not in TRY_AGAIN:
                raise error
        else:
            error = NoConnection(f"{call.url}: {answer}")
        if pause is None or not call.is_safe:
            raise error
        yield Pause(max(pause, _retry_after(answer)))
    raise AssertionError


def _retry_after(answer: Answer) -> float:
    header = ""
    if isinstance(answer, httpx.Response):
        header = answer.headers.get("Retry-After", "")
    return min(float(header), 120.0) if header.isdigit() else 0.0


def get(path: str, **params: str) -> Flow[Any]:
    """Read something."""
    response = yield from asked(Call("GET", API + path, params=params))
    return response.json()


def post(path: str, body: Any = None) -> Flow[Any]:
    """Do something that may be done twice."""
    response = yield from asked(Call("POST", API + path, json=body))
    return response.json()


def create(path: str, body: Any = None, key: str = "") -> Flow[Job]:
    """Make a job, once, however often the request has to be sent."""
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    response = yield from asked(Call("POST", API + path, json=body, headers=headers))
    return Job.of(response.json())


def job(id: str) -> Flow[Job]:
    """Read a job."""
    raw = yield from get(f"/jobs/{id}")
    return Job.of(raw)


def wait(id: str, see: Callable[[Job], None] | None = None) -> Flow[Job]:
    """Wait for the end of a job; `see` is shown it after every change."""
    tag = ""
    while True:
        call = Call("GET", f"{API}/jobs/{id}", headers={"If-None-Match": tag})
        response = yield from asked(call)
        if response.status_code != 304:
            tag, current = response.headers.get("ETag", ""), Job.of(response.json())
            if see:
                see(current)
            if current.has_ended:
                return current
        yield Pause(max(WAIT_SECONDS, _retry_after(response)))


def create_batch(body: Json, key: str = "", *, is_dry: bool = False) -> Flow[Json]:
    """Make a batch, once, however often the request has to be sent; or only look."""
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    params = {"dry_run": "true"} if is_dry else {}
    path = f"{API}/batches"
    call = Call("POST", path, json=body, headers=headers, params=params)
    response = yield from asked(call)
    answer: Json = response.json()
    return answer


def wait_for_batch(id: str, see: Callable[[Json], None] | None = None) -> Flow[Json]:
    """Wait until every item of a batch has ended."""
    while True:
        batch = yield from get(f"/batches/{id}")
        if see:
            see(batch)
        if batch["ended_at"]:
            ended: Json = batch
            return ended
        yield Pause(WAIT_SECONDS)


def completed(job: Job) -> Job:
    """Return a job that has a result; raise `JobFailed`."""
    if job.status != "COMPLETED":
        raise JobFailed(job)
    return job


def pages(path: str, limit: int, **params: str) -> Flow[list[Json]]:
    """Read a list up to `limit` entries, page after page."""
    entries: list[Json] = []
    url, query = API + path, {**params, "limit": str(min(limit, 200))}
    while True:
        response = yield from asked(Call("GET", url, params=query))
        body = response.json()
        entries += body["data"]
        if not body["next"] or len(entries) >= limit:
            return entries[:limit]
        url, query = body["next"], {}


def delete(path: str) -> Flow[None]:
    """Delete something; that it is gone already is fine."""
    try:
        yield from asked(Call("DELETE", API + path))
    except ApiError as error:
        if error.status != 404:
            raise


def body_of(
    endpoint: str,
    input: Json,
    *,
    metadata: Json | None,
    priority: str,
    webhook: str | Json | None,
) -> Json:
    """Return what is sent to create a job."""
    body: Json = {"endpoint": endpoint, "input": input, "priority": priority}
    return body | {
        name: value
        for name, value in (("metadata", metadata), ("webhook", webhook))
        if value is not None
    }


def events_in(lines: Iterable[str]) -> Generator[tuple[str, str, str], None, None]:
    """Yield (id, kind, data) of server-sent events (WHATWG HTML, 9.2)."""
    id, kind, data = "", "message", ""
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            yield id, kind, data
            kind, data = "message", ""
        elif name == "id":
            id = value
        elif name == "event":
            kind = value
        elif name == "data":
            data += value
