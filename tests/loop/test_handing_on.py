"""What a shift leaves to the next: answers on their way, connections, and what it knows."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.db.backends.signals import connection_created
from django.utils.timezone import now

from jobs.models import Attempt, Endpoint, Job, Lease
from jobs.services.lifecycle import tracking
from jobs.shifts.loop import shift
from tests.factories import make_endpoint, make_job
from tests.loop.backend import HOLD
from tests.loop.clock import SHIFT_SECONDS, SteppedClock

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]
HOUR = timedelta(hours=1)


def all_due():
    Job.objects.active().update(due_at=now())


# --- the end of a shift ---------------------------------------------------------------
def test_answers_on_their_way_are_waited_for(work, stepped, backend, endpoint):
    job, before = make_job("IN_QUEUE", endpoint=endpoint), now()
    asleep = make_job("IN_QUEUE", endpoint=endpoint, runpod_id="asleep")
    backend.says("IN_PROGRESS")
    backend.answers["status"] = HOLD
    ending = threading.Thread(
        target=lambda: stepped.is_over.wait(60) and backend.let_go.set()
    )
    ending.start()
    work()
    ending.join()
    job.refresh_from_db()
    asleep.refresh_from_db()
    assert job.status == "IN_PROGRESS"
    assert asleep.due_at > before + timedelta(seconds=0.8)  # nothing new: asked later


def test_what_hangs_is_left_to_the_next_shift(
    work, monkeypatch, caplog, backend, endpoint
):
    monkeypatch.setattr(shift, "DRAIN_SECONDS", 0.05)
    job = make_job("IN_QUEUE", endpoint=endpoint)
    backend.answers["status"] = HOLD
    assert work()
    job.refresh_from_db()
    assert (job.status, job.due_at <= now()) == ("IN_QUEUE", True)
    backend.let_go.set()
    backend.says("COMPLETED", output=1)
    work()
    job.refresh_from_db()
    assert job.status == "COMPLETED"
    assert "failed" not in caplog.text


def test_a_submission_that_outlasts_its_shift_is_doubted_and_is_no_death(
    work, monkeypatch, backend, endpoint
):
    monkeypatch.setattr(shift, "DRAIN_SECONDS", 0.05)
    job = make_job(endpoint=endpoint, unfinished_steps=2)
    backend.answers["run"] = HOLD
    assert work()
    backend.let_go.set()
    job.refresh_from_db()
    assert (job.status, job.unfinished_steps) == ("UNCONFIRMED", 2)


def work_again(clock, seconds):
    """What a thread of the same process does `seconds` later; the lease has run out."""
    Lease.objects.update(until=now() - HOUR)
    other = SteppedClock()
    other.now = clock.now + seconds
    return shift.work(SHIFT_SECONDS, other)


def test_a_late_shift_is_not_replaced_by_its_own_process(work, stepped):
    answers = []
    assert work(lambda: answers.append(work_again(stepped, 80)))
    assert answers == [False]
    assert work()


def test_a_shift_that_hangs_is_replaced_after_all(work, stepped):
    answers = []
    assert work(lambda: answers.append(work_again(stepped, 90)))
    assert answers == [True]
    assert work()


@pytest.fixture
def opened():
    """The database connections that are opened in the test."""
    connections = []

    def note(connection, **_):
        connections.append(connection)

    connection_created.connect(note)
    yield connections
    connection_created.disconnect(note)


def test_every_thread_gives_its_database_connection_back(work, opened, endpoint):
    make_job(endpoint=endpoint)
    work()
    assert opened
    assert [connection.connection for connection in opened] == [None] * len(opened)


def test_a_shift_that_breaks_off_leaves_nothing_behind(
    work, monkeypatch, opened, endpoint
):
    def fail():
        raise OperationalError("gone")

    monkeypatch.setattr(tracking, "work", fail)
    make_job(endpoint=endpoint)
    with pytest.raises(OperationalError):
        work()
    assert Lease.take(shift.LEASE, holder="another", seconds=60)
    in_threads = [c for c in opened if c.connection is not None]
    assert len(in_threads) <= 1  # our own


# --- what is known lasts --------------------------------------------------------------
def test_retry_after_lasts_beyond_the_shift(work, backend, endpoint):
    backend.answers["run"] = 429, {}, {"Retry-After": "500"}
    make_job(endpoint=endpoint)
    work()
    for _ in range(3):  # of 100 s
        all_due()
        work()
    assert backend.counts()["run"] == 1
    for _ in range(2):
        all_due()
        work()
    assert backend.counts()["run"] == 2


def test_a_moved_endpoint_is_not_blamed_for_what_was_heard_where_it_was(
    work, backend, other_backend, endpoint
):
    backend.answers["run"] = 429, {}, {"Retry-After": "500"}
    make_job(endpoint=endpoint)
    work()
    all_due()
    work()
    assert backend.counts()["run"] == 1
    Endpoint.objects.update(api_base=other_backend.url)
    all_due()
    work()
    assert other_backend.counts()["run"] == 1


def test_in_mid_shift_it_is_not_blamed_either(work, backend, other_backend, endpoint):
    backend.answers["run"] = 429, {}, {"Retry-After": "500"}
    make_job(endpoint=endpoint)

    def move():
        Endpoint.objects.update(api_base=other_backend.url)
        all_due()

    work(move)
    assert other_backend.counts()["run"] == 1


@pytest.mark.parametrize(("seconds", "sent"), [(700, 1), (900, 2)])
def test_trouble_of_long_ago_is_forgotten(
    seconds, sent, work, stepped, backend, endpoint
):
    answer = backend.answers["run"]
    backend.answers["run"] = 402, {}
    make_job(endpoint=endpoint)
    work()
    backend.answers["run"] = answer
    make_job(endpoint=endpoint)
    all_due()
    stepped.now += seconds
    work()
    assert backend.accepted == sent  # one, as long as it may still be in trouble


def test_no_other_endpoint_hears_of_it(work, backend, endpoint):
    backend.answers["run"] = 429, {}, {"Retry-After": "500"}
    make_job(endpoint=endpoint)
    work()
    other = make_endpoint(
        "other", contract="plain", api_base=backend.url, release_window=None
    )
    make_job(endpoint=other)
    work()
    assert backend.counts()["run"] == 2


@pytest.mark.parametrize(("age", "is_asked_soon"), [(3, False), (20, True)])
def test_rows_tell_a_new_process_how_long_jobs_usually_run(
    age, is_asked_soon, work, backend, endpoint
):
    at = now()
    for n in range(20):
        make_job(
            "COMPLETED",
            endpoint=endpoint,
            runpod_id=f"old{n}",
            started_at=at - timedelta(seconds=10),
            finished_at=at,
        )
    jobs = [
        make_job(
            "IN_PROGRESS",
            endpoint=endpoint,
            runpod_id=f"j{n}",
            started_at=at - timedelta(seconds=age),
        )
        for n in range(21)
    ]
    for job in jobs:
        backend.says("IN_PROGRESS", job.attempts.get().runpod_id)
    work()
    due = Job.objects.get(pk=jobs[0].pk).due_at
    if is_asked_soon:
        assert due <= now() + timedelta(seconds=1)
    else:
        # Nine tenths of the shortest usual time, as their rows tell it.
        assert at + timedelta(seconds=9 - age - 0.1) <= due
        assert due <= now() + timedelta(seconds=9 - age + 0.1)


def test_rows_tell_a_new_process_whether_webhooks_arrive(work, backend, endpoint):
    for n in range(20):
        make_job("COMPLETED", endpoint=endpoint, runpod_id=f"old{n}")
    Attempt.objects.update(rung_at=now())
    job, before = make_job("IN_PROGRESS", endpoint=endpoint), now()
    for n in range(41):
        fields = {"runpod_id": f"j{n}", "due_at": now() + HOUR}
        make_job("IN_PROGRESS", endpoint=endpoint, **fields)
    backend.says("IN_PROGRESS")
    work()
    job.refresh_from_db()
    assert job.due_at >= before + timedelta(seconds=20)
