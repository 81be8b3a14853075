"""What a shift does, tick by tick, and how it ends."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.models import Endpoint, Job, Lease
from jobs.shifts import runner
from jobs.shifts.loop import shift
from tests.factories import make_job

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]
HOUR = timedelta(hours=1)


def all_due():
    Job.objects.active().update(due_at=now())


def test_a_held_job_is_sent_and_asked_about_until_it_ends(work, backend, endpoint):
    job = make_job(endpoint=endpoint)
    backend.says("COMPLETED", "sent-1", output={"n": 1})
    assert work(all_due)
    job.refresh_from_db()
    assert (job.status, job.output) == ("COMPLETED", {"n": 1})
    assert backend.counts() == {"run": 1, "status": 1, "health": 1}
    assert {call.key for call in backend.calls} == {"Bearer runpod-test-key"}


@pytest.fixture
def is_ending():
    yield runner.is_ending
    runner.is_ending.clear()


def test_a_process_that_is_to_end_begins_no_shift(work, is_ending):
    is_ending.set()
    assert not work()
    assert not Lease.objects.exists()


def test_a_process_that_is_to_end_ends_its_shift(work, is_ending, backend, endpoint):
    job = make_job("IN_QUEUE", endpoint=endpoint)
    assert work(is_ending.set, all_due)
    assert backend.asked() == ["job-u1"]
    job.refresh_from_db()
    assert job.status == "IN_QUEUE"


def test_nobody_works_while_another_has_the_lease(work, backend, endpoint):
    make_job(endpoint=endpoint)
    Lease.take(shift.LEASE, holder="another", seconds=60)
    assert not work()
    assert backend.calls == []
    assert Lease.objects.get().holder == "another"


def test_after_a_shift_the_next_may_begin_at_once(work):
    assert work()
    assert Lease.take(shift.LEASE, holder="another", seconds=60)


def test_whoever_has_lost_the_lease_stops(work, stepped, backend, endpoint):
    def lose_it():
        Lease.objects.update(holder="another", until=now() + HOUR)
        make_job(endpoint=endpoint)
        stepped.now += 2

    assert work(lose_it, all_due)
    assert (backend.calls, stepped.steps) == ([], [all_due])
    assert Lease.objects.get().holder == "another"


def test_a_lease_is_renewed_each_quarter_of_its_time(work):
    seen = []

    def look():
        seen.append(Lease.objects.get().until)

    work(look, look, 1.25, look)
    assert seen[0] == seen[1] < seen[2]


def test_a_shift_ends_when_its_time_is_over(work, endpoint):
    late = []
    assert work(60.0, 60.0, lambda: late.append(1))
    assert late == []


def test_whom_a_dead_shift_was_sending_is_doubted_at_once(work, endpoint):
    job = make_job("SUBMITTING", endpoint=endpoint, due_at=now() + HOUR)
    work()
    job.refresh_from_db()
    assert job.status == "UNCONFIRMED"


def test_a_moved_endpoint_is_asked_at_its_new_address(
    work, backend, other_backend, endpoint
):
    make_job("IN_QUEUE", endpoint=endpoint)

    def move():
        Endpoint.objects.update(api_base=other_backend.url)
        all_due()

    work(move)
    assert (backend.asked(), other_backend.asked()) == (["job-u1"], ["job-u1"])
