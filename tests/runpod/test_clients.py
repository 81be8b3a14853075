"""One contract for both clients of the job API, over real sockets."""

import asyncio
import socket
import threading
import uuid

import aiohttp
import pytest

from jobs.runpod import EndpointClient, async_client, client
from jobs.runpod.async_client import AsyncEndpointClient
from jobs.runpod.errors import (
    Busy,
    EndpointNotFound,
    JobNotFound,
    NoAnswer,
    NotSent,
    Refused,
)
from tests.remote import RemoteEndpoint

POLICY = {"executionTimeout": 5000, "ttl": 60_000}


class Blocking:
    """Calls the client of pages and commands."""

    def __init__(self, url):
        self.url = url

    def call(self, method, *args, **kwargs):
        with EndpointClient(self.url, "key") as opened:
            return getattr(opened, method)(*args, **kwargs)


class Pooled:
    """Calls the client of the loop."""

    def __init__(self, url):
        self.url = url

    def call(self, method, *args, **kwargs):
        async def run():
            async with aiohttp.ClientSession() as session:
                opened = AsyncEndpointClient(session, self.url, "key")
                return await getattr(opened, method)(*args, **kwargs)

        return asyncio.run(run())


@pytest.fixture(params=[Blocking, Pooled])
def kind(request):
    return request.param


@pytest.fixture
def endpoint(remote):
    made = RemoteEndpoint(remote, f"ep{uuid.uuid4().hex[:8]}")
    made.script(workers=0)
    return made


@pytest.fixture
def calls(kind, endpoint):
    return kind(endpoint.url)


def run(calls):
    return calls.call("run", {"a": 1}, policy=POLICY)


def test_a_job_is_queued_read_and_cancelled(calls, endpoint):
    job = run(calls)
    assert job.status == "IN_QUEUE"
    assert calls.call("status", job.id).status == "IN_QUEUE"
    assert calls.call("health").jobs["inQueue"] == 1
    assert calls.call("cancel", job.id).status == "CANCELLED"
    assert endpoint.journal()[0]["input"] == {"a": 1}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", Busy),
        ("500", NoAnswer),
        ("502", NoAnswer),
        ("garbage", NoAnswer),
        ("deep", NoAnswer),
        ("nan", NoAnswer),
        ("cut_before", NoAnswer),
        ("cut_after", NoAnswer),
        ("401", Refused),
        ("402", Refused),
        ("unknown_endpoint", EndpointNotFound),
    ],
)
def test_each_trouble_has_its_error(calls, endpoint, fault, error):
    endpoint.faults("run", *[fault] * 2, workers=0)
    with pytest.raises(error):
        run(calls)


def test_an_unknown_job_is_told_from_an_unknown_endpoint(calls, endpoint):
    with pytest.raises(JobNotFound):
        calls.call("status", "nobody")
    endpoint.script(gone=True)
    with pytest.raises(EndpointNotFound):
        calls.call("status", "nobody")


@pytest.fixture
def listener():
    """A server that answers with what a test gives it; yields (url, requests, answer)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard, answers = [], []

        def serve():
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(65536))
                head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
                for piece in (head, *answers):
                    try:
                        connection.sendall(piece)
                    except OSError:
                        return
                    heard.append(len(piece))

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v2/ep", heard, answers


def test_an_id_never_leaves_its_place_in_the_path(kind, listener):
    url, heard, _ = listener
    with pytest.raises(NoAnswer):
        kind(url).call("status", "../purge-queue?x=")
    assert heard[0].startswith(b"GET /v2/ep/status/..%2Fpurge-queue%3Fx%3D HTTP")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v2/ep", "http://no.invalid/v2/ep"])
def test_what_never_left_may_be_sent_again(kind, url):
    with pytest.raises(NotSent):
        run(kind(url))


def test_an_address_that_is_none_sends_nothing():
    with pytest.raises(NotSent):
        run(Pooled("http://127.0.0.1:1234v2/ep"))


def test_a_silent_or_trickling_server_is_given_up(kind, endpoint, monkeypatch):
    short = aiohttp.ClientTimeout(total=1.5, sock_connect=1, sock_read=1.2)
    monkeypatch.setattr(async_client, "TIMEOUT", short)
    monkeypatch.setattr(client, "TIMEOUT", 0.5)
    for fault in ("hang", *(["trickle"] if kind is Pooled else [])):
        endpoint.faults("run", fault, workers=0)
        with pytest.raises(NoAnswer):
            run(kind(endpoint.url))


def test_an_endless_answer_is_cut_while_it_comes(kind, listener, monkeypatch):
    monkeypatch.setattr("jobs.runpod.answers.MAX_ANSWER_BYTES", 1_000_000)
    url, heard, answers = listener
    answers += [b"[" * 1_000_000] * 100
    with pytest.raises(NoAnswer, match="32 MiB"):
        kind(url).call("health")
    assert sum(heard[1:]) < 50_000_000


def test_retry_after_is_heard_within_reason():
    from jobs.runpod import answers  # noqa: PLC0415

    def pause(value):
        with pytest.raises(Busy) as raised:
            answers.read(429, {"Retry-After": value}, b"")
        return raised.value.retry_after

    assert [pause(v) for v in ("7", "1e9", "-1", "soon", "")] == [
        7,
        600,
        None,
        None,
        None,
    ]
