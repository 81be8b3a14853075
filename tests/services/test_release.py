"""Whose turn it is, and how much RunPod may hold."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.models import Endpoint, Job
from jobs.services.lifecycle import jobs, release
from tests.factories import make_endpoint, make_job, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def endpoint():
    return make_endpoint(contract="plain", max_workers=2)


def create(owner, endpoint, mark, **fields):
    return jobs.create(owner=owner, endpoint=endpoint, input={"mark": mark}, **fields)


def order(endpoint, limit=100):
    return [job.input["mark"] for job in release.pick(endpoint, limit)]


def test_owners_take_turns_however_many_jobs_one_of_them_has(endpoint):
    alice, bob = make_user("alice"), make_user("bob")
    for n in range(4):
        create(alice, endpoint, f"a{n}")
    for n in range(2):
        create(bob, endpoint, f"b{n}")
    assert order(endpoint) == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_a_newcomer_does_not_pay_for_the_past_of_others(endpoint):
    alice, bob = make_user("alice"), make_user("bob")
    for n in range(5):
        create(alice, endpoint, f"a{n}")
    for job in release.pick(endpoint, 3):
        Job.objects.filter(pk=job.pk).update(status="IN_QUEUE")
    create(bob, endpoint, "b0")
    create(bob, endpoint, "b1")
    assert order(endpoint) == ["a3", "b0", "a4", "b1"]


def test_priority_comes_before_turns(endpoint):
    alice = make_user("alice")
    for name in ("LOW", "NORMAL", "HIGH"):
        create(alice, endpoint, name, priority=Job.Priority[name])
    assert order(endpoint) == ["HIGH", "NORMAL", "LOW"]


def test_positions_tell_the_order_in_which_jobs_go(endpoint):
    alice, bob = make_user("alice"), make_user("bob")
    sent = make_job("IN_QUEUE", endpoint=endpoint, owner=bob)
    rows = [create(alice, endpoint, f"a{n}") for n in range(3)]
    rows.append(create(bob, endpoint, "b0"))
    rows.append(create(bob, endpoint, "b1", priority=Job.Priority.HIGH))
    positions = jobs.queue_positions([sent, *rows])
    assert [positions[job.pk] for job in [sent, *rows]] == [1, 3, 5, 6, 4, 2]
    assert jobs.queue_position(rows[0]) == 3


def test_a_window_of_its_own_limits_what_runpod_holds(endpoint):
    Endpoint.objects.update(release_window=3)
    endpoint.refresh_from_db()
    for status in ("IN_QUEUE", "IN_PROGRESS", "PENDING", "COMPLETED"):
        make_job(status, endpoint=endpoint)
    assert release.room(endpoint, workers=0) == 1


def test_zero_means_workers_and_a_margin_and_blank_no_limit(endpoint):
    assert release.room(endpoint, workers=0) == 2 + 10
    assert release.room(endpoint, workers=50) == 50 + 50  # more are there than we knew
    endpoint.release_window = None
    assert release.room(endpoint, workers=0) is None


def test_a_job_that_waits_after_a_failure_lets_others_pass(endpoint):
    alice = make_user("alice")
    first, _ = create(alice, endpoint, "first"), create(alice, endpoint, "second")
    Job.objects.filter(pk=first.pk).update(due_at=now() + timedelta(seconds=9))
    assert order(endpoint) == ["second"]


def test_a_purge_cancels_what_was_held_then_and_nothing_later(endpoint):
    old = make_job(endpoint=endpoint, created_at=now() - timedelta(seconds=5))
    endpoint.purged_at = now() - timedelta(seconds=1)
    new = make_job(endpoint=endpoint)
    assert release.drop_held(endpoint) == 1
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.status, old.reason, new.status) == ("CANCELLED", "purged", "PENDING")


def test_a_purged_job_does_not_take_the_room_that_the_purge_makes(endpoint):
    make_job(endpoint=endpoint)
    Endpoint.objects.update(purged_at=now())
    later = make_job(endpoint=endpoint)
    assert release.pick(endpoint, 9) == [later]


def test_held_jobs_of_an_endpoint_that_has_gone_are_cancelled(endpoint):
    job = make_job(endpoint=endpoint)
    endpoint.unreachable_at = now() - timedelta(seconds=21)
    endpoint.not_found_at, endpoint.not_found_count = now(), 3
    assert release.drop_held(endpoint) == 1
    job.refresh_from_db()
    assert (job.status, job.reason) == ("CANCELLED", "endpoint_not_found")


def test_a_job_held_longer_than_a_day_times_out(endpoint):
    job = make_job(endpoint=endpoint, created_at=now() - timedelta(hours=25))
    assert release.drop_held(endpoint) == 1
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("TIMED_OUT", "queue_timeout")


def test_a_job_whose_cancelling_met_its_submission_is_cancelled(endpoint):
    job = make_job(endpoint=endpoint, cancel_requested_at=now())
    assert release.drop_held(endpoint) == 1
    job.refresh_from_db()
    assert (job.status, job.reason) == ("CANCELLED", "user")
