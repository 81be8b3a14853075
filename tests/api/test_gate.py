"""The API's way in: bodies are not read beyond the limit, and callers may wait."""

import asyncio
import json
import threading

import httpx
import pytest
from django.db import connections

from jobs.api import wait
from jobs.lib import rates
from jobs.models import Job
from jobs.states import Actor, JobStatus
from tests.factories import make_endpoint, make_key

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def app():
    from webapp.asgi import application  # noqa: PLC0415 - sets Django up

    return application


@pytest.fixture
def call(app):
    key = make_key()

    def send(method, path, **kwargs):
        async def go():
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://testserver", timeout=30
            ) as client:
                heads = {"Authorization": f"Bearer {key}", **kwargs.pop("headers", {})}
                return await client.request(method, path, headers=heads, **kwargs)

        return asyncio.run(go())

    return send


def raw(app, headers, chunks):
    """Send a body in chunks; return (status, how many chunks were read)."""
    read, sent = [], []

    async def receive():
        read.append(1)
        return {
            "type": "http.request",
            "body": chunks[len(read) - 1],
            "more_body": len(read) < len(chunks),
        }

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/uploads",
        "raw_path": b"/api/v1/uploads",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), *headers],
        "scheme": "http",
        "server": ("testserver", 80),
        "client": ("127.0.0.1", 1),
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], len(read)


def test_a_body_that_says_it_is_too_large_is_not_read(app):
    length = str(2 * 1024 * 1024).encode()
    assert raw(app, [(b"content-length", length)], [b""]) == (413, 0)


def test_a_body_without_length_is_read_up_to_the_limit(app):
    chunks = [b"x" * 256 * 1024] * 100
    assert raw(app, [], chunks) == (413, 5)


@pytest.mark.parametrize(
    "headers",
    [[(b"x-a", b"a" * 100_000)], [(b"x-%d" % n, b"a") for n in range(200)]],
)
def test_headers_over_the_limit_are_431(app, headers):
    assert raw(app, headers, [b""]) == (431, 0)


def test_a_job_comes_through(call):
    make_endpoint()
    answer = call("POST", "/api/v1/jobs", json={"endpoint": "blur", "input": {"a": 1}})
    assert answer.status_code == 201
    assert "RateLimit" in answer.headers
    assert answer.headers["content-length"] == str(len(answer.content))
    rates.forget()


def test_who_waits_gets_the_answer_when_the_job_ends(call):
    make_endpoint()
    ender = threading.Thread(target=_cancel_the_job)
    ender.start()
    answer = call(
        "POST",
        "/api/v1/jobs",
        json={"endpoint": "blur", "input": {"a": 1}},
        headers={"Prefer": "respond-async, wait=20"},
    )
    ender.join()
    assert answer.status_code == 201
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert answer.json()["status"] == "CANCELLED"


def _cancel_the_job():
    try:
        while not Job.objects.exists():
            pass
        Job.objects.get().advance(JobStatus.CANCELLED, by=Actor.USER, reason="user")
    finally:
        connections.close_all()


def test_a_job_that_takes_longer_is_202(call):
    make_endpoint()
    answer = call(
        "POST",
        "/api/v1/jobs",
        json={"endpoint": "blur", "input": {"a": 1}},
        headers={"Prefer": "wait=1"},
    )
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=10", 10),
        ("wait", 60),
        ("wait=999", 60),
        ("respond-async, wait=5", 5),
        ('wait="7"', 7),
        ("Wait = 3", 3),
        ("respond-async", None),
        ("", None),
        ("awaits=3", None),
        ("wait=0", 0),
    ],
)
def test_how_long_somebody_prefers_to_wait(header, seconds):
    assert wait.seconds_in(header) == seconds


def test_what_has_not_changed_is_304(call):
    make_endpoint()
    body = {"endpoint": "blur", "input": {"a": 1}}
    pk = call("POST", "/api/v1/jobs", json=body).json()["id"]
    first = call("GET", f"/api/v1/jobs/{pk}")
    assert first.headers["Retry-After"] == "1"
    again = {"If-None-Match": first.headers["ETag"]}
    second = call("GET", f"/api/v1/jobs/{pk}", headers=again)
    assert (second.status_code, second.content) == (304, b"")
    call("POST", f"/api/v1/jobs/{pk}/cancel")
    third = call("GET", f"/api/v1/jobs/{pk}", headers=again)
    assert (third.status_code, third.json()["status"]) == (200, "CANCELLED")
    assert json.loads(third.content)["reason"] == "user"
