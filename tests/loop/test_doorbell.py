"""RunPod's webhook, as it comes over the wire."""

import asyncio
import json
from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs import links
from jobs.models import Job
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
        return sent[0]["status"]

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
