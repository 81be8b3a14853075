"""Live events of a job: the whole job first, then what changes, to its end."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError

from jobs import live
from jobs.models import ApiKey, Endpoint, Job
from jobs.states import Actor, JobStatus
from tests.factories import make_job, make_key, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


class Stream:
    """Calls the ASGI application and reads its events one by one."""

    def __init__(self, app, pk, key="", path="", **headers):
        heads = {"authorization": f"Bearer {key}"} if key else {}
        heads.update(headers)
        path = path or f"/api/v1/jobs/{pk}/events"
        self.scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": b"",
            "query_string": b"",
            "headers": [
                (name.replace("_", "-").encode(), value.encode())
                for name, value in {"host": "testserver", **heads}.items()
            ],
            "scheme": "http",
            "server": ("testserver", 80),
            "client": ("127.0.0.1", 1),
        }
        self.app, self.events, self.status = app, asyncio.Queue(), asyncio.Future()
        self.text = b""

    async def __aenter__(self):
        self._gone = asyncio.Event()
        self._task = asyncio.create_task(
            self.app(self.scope, self._receive, self._send)
        )
        return self

    async def __aexit__(self, *_):
        self._gone.set()
        await asyncio.wait_for(self._task, 10)

    async def _receive(self):
        if not hasattr(self, "_asked"):
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if message["type"] == "http.response.start":
            self.status.set_result(message["status"])
            return
        self.text += message.get("body", b"")
        while b"\n\n" in self.text:
            block, _, self.text = self.text.partition(b"\n\n")
            fields = dict(
                line.split(": ", 1)
                for line in block.decode().split("\n")
                if ": " in line
            )
            if "event" in fields:
                self.events.put_nowait(fields)
        if not message.get("more_body"):
            self.events.put_nowait(None)

    async def next(self):
        return await asyncio.wait_for(self.events.get(), 10)


@pytest.fixture
def app():
    from webapp.asgi import application  # noqa: PLC0415 - sets Django up

    return application


def move(pk, *args, **changes):
    job = Job.objects.get(pk=pk)
    assert job.advance(*args, **changes)


def test_a_listener_hears_the_whole_job_and_every_change_to_its_end(app):
    job, key = make_job("IN_QUEUE"), make_key()

    async def go():
        async with Stream(app, job.pk, key) as stream:
            first = await stream.next()
            assert first["event"] == "job"
            assert json.loads(first["data"])["status"] == "IN_QUEUE"
            await sync_to_async(move)(job.pk, JobStatus.IN_PROGRESS, by=Actor.SYNC)
            second = await stream.next()
            assert (second["event"], json.loads(second["data"])["status"]) == (
                "status",
                "IN_PROGRESS",
            )
            assert int(second["id"]) > int(first["id"])
            await sync_to_async(move)(
                job.pk, JobStatus.FAILED, by=Actor.SYNC, error_code="worker_error"
            )
            kinds = [(await stream.next())["event"] for _ in range(2)]
            assert kinds == ["status", "done"]
            assert await stream.next() is None

    asyncio.run(go())


def test_who_comes_back_gets_only_what_is_new(app):
    job, key = make_job("IN_QUEUE"), make_key()

    async def go():
        async with Stream(app, job.pk, key) as stream:
            seen = (await stream.next())["id"]
        async with Stream(app, job.pk, key, last_event_id=seen) as stream:
            assert await stream.status == 200
            await sync_to_async(move)(job.pk, JobStatus.IN_PROGRESS, by=Actor.SYNC)
            event = await stream.next()
            assert int(event["id"]) > int(seen)
            assert json.loads(event["data"])["status"] == "IN_PROGRESS"

    asyncio.run(go())


def test_an_ended_job_is_told_once(app):
    job, key = make_job("COMPLETED"), make_key()

    async def go():
        async with Stream(app, job.pk, key) as stream:
            kinds = [await stream.next(), await stream.next(), await stream.next()]
            assert [event and event["event"] for event in kinds] == [
                "job",
                "done",
                None,
            ]
        async with Stream(app, job.pk, key, last_event_id=kinds[0]["id"]) as stream:
            assert await stream.status == 204

    asyncio.run(go())


def test_somebody_elses_job_and_a_wrong_id_are_refused(app):
    job, key = make_job(owner=make_user("bob")), make_key()

    async def go():
        async with Stream(app, job.pk, key) as stream:
            assert await stream.status == 404
        async with Stream(app, job.pk, "nonsense") as stream:
            assert await stream.status == 401
        async with Stream(app, job.pk, key, last_event_id="x") as stream:
            assert await stream.status == 400

    asyncio.run(go())


def test_a_revoked_key_ends_its_streams(app, monkeypatch):
    from django.utils.timezone import now  # noqa: PLC0415

    monkeypatch.setattr(live, "CHECK_SECONDS", 0.0)
    job, key = make_job("IN_QUEUE"), make_key()

    async def go():
        async with Stream(app, job.pk, key) as stream:
            assert (await stream.next())["event"] == "job"
            await sync_to_async(ApiKey.objects.update)(revoked_at=now())
            assert await stream.next() is None

    asyncio.run(go())


def test_queries_do_not_grow_with_listeners(app, django_assert_max_num_queries):
    jobs = [make_job("IN_QUEUE") for _ in range(30)]

    async def go(count):
        listeners = [
            live.Listener(jobs[0].owner_id, is_whole=True) for _ in range(count)
        ]
        states = [live.hub.states(jobs[n].pk, one) for n, one in enumerate(listeners)]
        await asyncio.gather(*(anext(state) for state in states))
        for state in states:
            await state.aclose()

    for count in (1, 30):
        pks = [job.pk for job in jobs[:count]]
        with django_assert_max_num_queries(6):
            live._changed(pks, {}, set(pks))
        asyncio.run(go(count))


def test_a_waiting_page_hears_that_its_endpoint_has_a_new_diagnosis():
    waiting = make_job("IN_QUEUE")
    running = make_job("IN_PROGRESS", runpod_id="b")
    pks = [waiting.pk, running.pk]
    known = {pk: state.mark for pk, state in live._changed(pks, {}, ()).items()}
    assert live._changed(pks, known, ()) == {}
    Endpoint.objects.update(diagnosis={"cause": "no_capacity"})
    assert set(live._changed(pks, known, ())) == {waiting.pk}


def test_streams_keep_no_database_connection(app, client):
    """There are 20 in the pool; thirty pages and thirty programs listen."""
    job, key = make_job("IN_QUEUE"), make_key()
    client.force_login(job.owner)
    cookie = f"slipway_session={client.cookies['slipway_session'].value}"
    page = {"path": f"/jobs/{job.pk}/live/", "cookie": cookie}

    async def go():
        async with AsyncExitStack() as stack:
            streams = [Stream(app, job.pk, key) for _ in range(30)]
            streams += [Stream(app, job.pk, **page) for _ in range(30)]
            for stream in streams:
                await stack.enter_async_context(stream)
            events = [await stream.next() for stream in streams]
            assert {event["event"] for event in events} == {"job"}

    asyncio.run(go())


def test_a_program_that_joins_while_a_page_is_being_told_gets_the_whole_job(
    monkeypatch,
):
    job, changed = make_job("IN_QUEUE"), live._changed

    async def go():
        page = live.hub.states(job.pk, live.Listener(job.owner_id))
        program = live.Listener(job.owner_id, is_whole=True)

        def joined(pks, known, whole):
            live.hub._listeners[job.pk].add(program)
            monkeypatch.setattr(live, "_changed", changed)
            return changed(pks, known, whole)

        monkeypatch.setattr(live, "_changed", joined)
        assert (await anext(page)).status == "IN_QUEUE"
        state = await asyncio.wait_for(program.states.get(), 5)
        assert state.job["id"] == str(job.pk)
        live.hub._leave(job.pk, program)
        await page.aclose()

    asyncio.run(go())


def test_listeners_of_a_deleted_job_are_let_go_and_a_database_that_is_away_is_waited_for(
    app, monkeypatch
):
    job, key, changed = make_job("IN_QUEUE"), make_key(), live._changed

    def away(*_):
        monkeypatch.setattr(live, "_changed", changed)
        raise DatabaseError

    async def go():
        async with Stream(app, job.pk, key) as stream:
            assert (await stream.next())["event"] == "job"
            monkeypatch.setattr(live, "_changed", away)
            await sync_to_async(move)(job.pk, JobStatus.IN_PROGRESS, by=Actor.SYNC)
            assert (await stream.next())["event"] == "status"
            await sync_to_async(Job.objects.all().delete)()
            assert await stream.next() is None

    asyncio.run(go())
