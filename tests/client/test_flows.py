"""The client's flows, driven by hand: what is asked, again or not, and how long it waits."""

import json
import time
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook as Standard

from slipway import flows, transfers, webhooks
from slipway.client import Client
from slipway.errors import ApiError, JobFailed, NoConnection, SlipwayError
from slipway.flows import Call, Pause
from slipway.models import Job

DOWN = httpx.ConnectError("refused")
JOB = {
    "id": "1",
    "endpoint": "echo",
    "status": "FAILED",
    "output": None,
    "outputs": [],
    "error": {"code": "x", "message": "It broke."},
    "progress": {},
    "queue": {"position": None},
}


def answer(status=200, body=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers=named)


def drive(flow, *answers):
    """Return (result, calls, pauses); the answers are given one by one."""
    script, calls, pauses, sent = list(answers), [], [], None
    try:
        while True:
            step = flow.send(sent)
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                sent = None
            else:
                calls.append(step)
                sent = script.pop(0)
    except StopIteration as end:
        return end.value, calls, pauses


def test_a_server_that_is_down_is_asked_again_with_longer_pauses():
    result, calls, pauses = drive(flows.get("/me"), DOWN, DOWN, answer(body={"a": 1}))
    assert (result, len(calls), pauses) == ({"a": 1}, 3, [0.5, 1.0])


def test_what_never_answers_is_an_error_that_says_so():
    with pytest.raises(NoConnection, match="refused"):
        drive(flows.get("/me"), *[DOWN] * 7)


def test_retry_after_is_heard():
    busy = answer(429, {"detail": "slow"}, Retry_After="7")
    _, _, pauses = drive(flows.get("/me"), busy, answer(body={}))
    assert pauses == [7.0]


def test_a_refusal_is_not_repeated_and_says_where():
    body = {
        "code": "invalid_input",
        "detail": "No.",
        "errors": [{"pointer": "#/input/a", "message": "Wrong."}],
    }
    with pytest.raises(ApiError) as caught:
        drive(flows.get("/me"), answer(422, body))
    assert (caught.value.status, caught.value.code) == (422, "invalid_input")
    assert str(caught.value) == "No.\n#/input/a: Wrong."


def test_an_error_page_of_a_proxy_is_still_an_error():
    with pytest.raises(ApiError) as caught:
        drive(flows.get("/me"), httpx.Response(404, text="<html>"))
    assert caught.value.detail == "<html>"


def test_a_job_is_created_under_one_key_however_often_it_is_sent():
    _, calls, _ = drive(flows.create("/jobs", {}), DOWN, answer(503), answer(201, JOB))
    assert len({call.headers["Idempotency-Key"] for call in calls}) == 1
    _, (call,), _ = drive(flows.create("/jobs", {}, "mine"), answer(201, JOB))
    assert call.headers["Idempotency-Key"] == "mine"


def test_waiting_asks_with_the_tag_and_ends_with_the_job():
    running = answer(body={**JOB, "status": "IN_PROGRESS"}, ETag='"1"', Retry_After="3")
    seen = []
    job, calls, pauses = drive(
        flows.wait("1", seen.append), running, answer(304), answer(body=JOB)
    )
    assert job.status == "FAILED"
    assert [call.headers["If-None-Match"] for call in calls] == ["", '"1"', '"1"']
    assert pauses == [3.0, 1.0]
    assert [one.status for one in seen] == ["IN_PROGRESS", "FAILED"]
    with pytest.raises(JobFailed, match=r"FAILED: It broke\."):
        flows.completed(job)


def test_lists_are_read_page_by_page():
    pages = [
        answer(body={"data": [1, 2], "next": "http://x/2"}),
        answer(body={"data": [3], "next": None}),
    ]
    entries, calls, _ = drive(flows.pages("/jobs", 10), *pages)
    assert (entries, calls[1].url, calls[1].params) == ([1, 2, 3], "http://x/2", {})


def test_events_are_read_as_the_standard_says():
    lines = [
        "retry: 3",
        "",
        ": hi",
        "id: 1",
        "event: job",
        'data: {"a":',
        "data:1}",
        "",
    ]
    assert list(flows.events_in(lines)) == [("1", "job", '{"a":1}')]


def test_an_upload_goes_on_from_the_servers_offset(tmp_path, monkeypatch):
    monkeypatch.setattr(transfers, "PIECE_BYTES", 4)
    path = tmp_path / "a.bin"
    path.write_bytes(b"0123456789")
    opened = {
        "id": "1",
        "filename": "a.bin",
        "size": 10,
        "deduplicated": False,
        "status": "uploading",
        "method": "tus",
        "url": "http://x/1",
    }
    at = lambda n, status=204: answer(status, Upload_Offset=str(n))  # noqa: E731
    _, calls, _ = drive(
        transfers.upload(path),
        *(answer(201, opened), at(2, 200), at(6), DOWN, at(8, 200), at(10)),
    )
    sent = [
        (c.headers["Upload-Offset"], c.content) for c in calls if c.method == "PATCH"
    ]
    assert sent == [("2", b"2345"), ("6", b"6789"), ("8", b"89")]


def test_a_file_the_server_knows_is_not_sent(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x")
    known = {"id": "1", "filename": "b", "deduplicated": True, "status": "ready"}
    sent, calls, _ = drive(transfers.upload(path), answer(201, known))
    assert (sent.was_known, sent.reference, len(calls)) == (True, "upload:1", 1)


def test_the_key_goes_to_the_server_and_nowhere_else():
    client = Client("http://x", "secret")
    own = client._request(Call("GET", "/api/v1/me"))
    bucket = client._request(Call("PUT", "http://bucket/1", with_key=False))
    assert own["headers"]["Authorization"] == "Bearer secret"
    assert "Authorization" not in bucket["headers"]


def test_without_address_or_key_it_says_what_to_set(monkeypatch):
    monkeypatch.delenv("SLIPWAY_URL", raising=False)
    monkeypatch.delenv("SLIPWAY_KEY", raising=False)
    with pytest.raises(SlipwayError, match="SLIPWAY_URL"):
        Client()


SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def signed(body: bytes, at: float):
    from datetime import UTC, datetime  # noqa: PLC0415

    when = datetime.fromtimestamp(int(at), UTC)
    return {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(at)),
        "Webhook-Signature": "v1,old "
        + Standard(SECRET).sign("msg_1", when, body.decode()),
    }


def test_a_message_signed_by_the_standard_is_accepted_and_no_other():
    body = json.dumps({"type": "job.completed"}).encode()
    good = signed(body, time.time())
    assert webhooks.verify(body, good, SECRET)["type"] == "job.completed"
    for wrong in (
        (body + b" ", good, SECRET),
        (body, {**good, "Webhook-Id": "msg_2"}, SECRET),
        (body, good, "whsec_" + "A" * 32),
        (body, {}, SECRET),
        (body, signed(body, time.time() - 400), SECRET),
    ):
        with pytest.raises(webhooks.BadSignature):
            webhooks.verify(*wrong)


def test_the_package_stands_alone():
    folder = Path(flows.__file__).parent
    for path in folder.glob("*.py"):
        for name in ("django", "jobs", "webapp", "worker_handler"):
            assert f"import {name}" not in path.read_text()
            assert f"from {name}" not in path.read_text()


def test_a_job_is_read_from_what_the_server_sends():
    job = Job.of({**JOB, "urls": {"web": "http://x/jobs/1/"}})
    assert (job.web_url, job.has_ended) == ("http://x/jobs/1/", True)
