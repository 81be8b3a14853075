"""RunPod's webhook, as it comes over the wire."""

import asyncio
import json
from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.asgi.runpod_webhook import MAX_BODY, Doorbell, doorbell_for
from jobs.lib import links
from jobs.models import Attempt, Job
from jobs.services.lifecycle import attempts
from tests.factories import make_job

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


def secret_of(job, lives=timedelta(hours=1)):
    return links.sign(links.DOORBELL, job.attempts.get().pk.hex, lives=lives)


def ring(*secrets, body=b"{}", method="POST"):
    """Ring at once for all; return the statuses."""
    from webapp.asgi import application  # noqa: PLC0415 - sets Django up

    async def one(secret):
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        path = f"/hooks/runpod/{secret}"
        scope = {"type": "http", "method": method, "path": path, "headers": []}
        await application(scope, receive, send)
        start, end = sent
        assert (start["type"], end["type"], end["body"]) == (
            *("http.response.start", "http.response.body", b""),
        )
        assert start["headers"] == [(b"content-length", b"0")]
        return start["status"]

    async def every():
        return await asyncio.gather(*map(one, secrets))

    return asyncio.run(every())


def sleeping_job(**fields):
    return make_job("IN_PROGRESS", due_at=now() + timedelta(hours=1), **fields)


def test_it_believes_nothing_and_makes_the_job_due():
    job = sleeping_job()
    forged = json.dumps({"id": "x", "status": "COMPLETED", "output": "forged"})
    assert ring(secret_of(job), body=forged.encode()) == [200]
    job.refresh_from_db()
    assert (job.status, job.due_at <= now()) == ("IN_PROGRESS", True)
    assert job.attempts.get().runpod_id == "job-u1"


def test_many_rings_at_once_all_count():
    rows = [sleeping_job(runpod_id=f"j{n}") for n in range(20)]
    assert ring(*map(secret_of, rows)) == [200] * 20
    assert Job.objects.due().count() == 20


@pytest.mark.parametrize("secret", ["", "forged:secret", "a/b", "%00"])
def test_a_wrong_secret_is_a_404(secret):
    assert ring(secret) == [404]


def test_an_old_secret_is_a_404():
    assert ring(secret_of(sleeping_job(), lives=timedelta(seconds=-1))) == [404]


def test_a_ring_for_a_job_that_has_been_deleted_is_a_404():
    job = sleeping_job()
    secret = secret_of(job)
    job.delete()
    assert ring(secret) == [404]


def test_only_post_rings():
    job = sleeping_job()
    assert ring(secret_of(job), method="GET") == [405]
    assert not Job.objects.due().exists()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"id": 7}', b"\xff", b"[" * 9999])
def test_any_body_will_do(body):
    job = make_job("UNCONFIRMED", runpod_id="")
    assert ring(secret_of(job), body=body) == [200]
    assert job.attempts.get().runpod_id == ""


def test_an_id_we_never_learned_is_taken_to_ask_about():
    job = make_job("UNCONFIRMED", runpod_id="")
    assert ring(secret_of(job), body=b'{"id": "told", "status": "COMPLETED"}') == [200]
    job.refresh_from_db()
    assert (job.status, job.attempts.get().runpod_id) == ("UNCONFIRMED", "told")


async def receive(bell, secret, pieces):
    """Ring with a body in pieces, of which None hangs up; return the status."""
    sent = []

    async def give():
        piece = pieces.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    scope = {"method": "POST", "path": f"/hooks/runpod/{secret}", "headers": []}
    await bell.receive(scope, give, send)
    return sent[0]["status"]


def ring_in_pieces(job, *pieces):
    """Return the status, and the pieces that nobody read."""
    left = list(pieces)
    return asyncio.run(receive(Doorbell(), secret_of(job), left)), left


def test_a_body_may_come_in_pieces():
    job = make_job("UNCONFIRMED", runpod_id="")
    assert ring_in_pieces(job, b'{"id": ', b'"in-pieces"}') == (200, [])
    assert job.attempts.get().runpod_id == "in-pieces"


def test_a_caller_who_hangs_up_in_mid_body_has_rung_all_the_same():
    assert ring_in_pieces(sleeping_job(), b"{", None, b"}") == (200, [b"}"])
    assert Job.objects.due().count() == 1


def test_no_more_of_a_body_is_read_than_a_limit():
    half = b" " * (MAX_BODY // 2)
    assert ring_in_pieces(sleeping_job(), half, half, b" ", b"}") == (200, [b"}"])


def test_each_ring_brings_its_own_id():
    rows = [make_job("UNCONFIRMED", runpod_id="") for _ in range(3)]
    bell, bodies = Doorbell(), [b'{"id": "first"}', b'{"id": "second"}', b"{}"]
    rings = [(secret_of(job), [body]) for job, body in zip(rows, bodies, strict=True)]

    async def every():
        return await asyncio.gather(*(receive(bell, *ring) for ring in rings))

    assert asyncio.run(every()) == [200] * 3
    ids = [job.attempts.get().runpod_id for job in rows]
    assert ids == ["first", "second", ""]


def test_whoever_hangs_up_takes_no_other_ring_along():
    secrets = [secret_of(sleeping_job(runpod_id=f"j{n}")) for n in range(2)]
    bell = Doorbell()

    async def hang_up_first():
        rings = [receive(bell, secret, [b"{}"]) for secret in secrets]
        first, second = map(asyncio.create_task, rings)
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(hang_up_first()) == 200
    assert Job.objects.due().count() == 2


def test_it_rings_again_and_again():
    secret, bell = secret_of(sleeping_job()), Doorbell()

    async def again():
        return [await receive(bell, secret, [b"{}"]) for _ in range(2)]

    assert asyncio.run(again()) == [200, 200]


def test_rings_of_one_moment_are_written_together(monkeypatch):
    written, ring_all = [], attempts.ring

    def count(rung):
        written.append(len(rung))
        return ring_all(rung)

    monkeypatch.setattr(attempts, "ring", count)
    rows = [sleeping_job(runpod_id=f"j{n}") for n in range(9)]
    assert ring(*map(secret_of, rows)) == [200] * 9
    assert written == [9]


@pytest.mark.parametrize(
    ("purpose", "text"), [("other", None), (links.DOORBELL, "no-uuid")]
)
def test_a_secret_signed_for_something_else_is_a_404(purpose, text):
    pk = sleeping_job().attempts.get().pk.hex
    secret = links.sign(purpose, text or pk, lives=timedelta(hours=1))
    assert ring(secret) == [404]


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "lifespan"},
        {"type": "websocket", "path": "/hooks/runpod/x"},
        {"type": "http", "path": "/hooks/other/x"},
        {"type": "http", "path": "/x/hooks/runpod/x"},
    ],
)
def test_everybody_else_is_let_through(scope):
    assert doorbell_for(scope) is None


def test_an_id_that_another_job_has_is_not_taken():
    sleeping_job(runpod_id="taken")
    job = make_job("UNCONFIRMED", runpod_id="")
    assert ring(secret_of(job), body=b'{"id": "taken"}') == [200]
    assert Attempt.objects.filter(runpod_id="taken").count() == 1
