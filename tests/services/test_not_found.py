"""What a 404 for a job means, and when it is believed."""

import pytest
from django.utils.timezone import now

from jobs.models import Job
from jobs.services.lifecycle import not_found
from jobs.states import Reason
from tests.factories import make_endpoint, make_job
from tests.rows import ago, is_in, reread

pytestmark = [pytest.mark.db, pytest.mark.django_db]
DAY = 24 * 3600


def note(job, reason=Reason.NOT_FOUND):
    """Let RunPod answer 404 about the job's attempt once."""
    not_found.note(job, job.attempts.get(), reason)
    return reread(job)


def doubted(status="IN_QUEUE", count=2, seconds=21, **fields):
    """Return a job of which RunPod has said 404 `count` times in `seconds`."""
    since = ago(seconds)
    return make_job(status, not_found_count=count, not_found_since=since, **fields)


def purged(seconds=0):
    return make_endpoint(purged_at=ago(seconds))


def test_the_first_404_starts_the_clock():
    since = now()
    job = note(make_job("IN_QUEUE"))
    assert (job.status, job.not_found_count) == ("IN_QUEUE", 1)
    assert is_in(job.not_found_since, 0, since=since)


def test_the_clock_goes_on_from_the_first():
    job = doubted(count=1)
    first = job.not_found_since
    assert (note(job).not_found_count, job.not_found_since) == (2, first)


@pytest.mark.parametrize(
    ("count", "seconds", "status"),
    [
        (1, 3600, "IN_QUEUE"),
        (2, 15, "IN_QUEUE"),
        (2, 21, "CANCELLED"),
        (9, 15, "IN_QUEUE"),
    ],
)
def test_three_404s_over_twenty_seconds_are_certain(count, seconds, status):
    assert note(doubted(count=count, seconds=seconds)).status == status


def test_a_count_is_of_one_job():
    other = make_job("IN_QUEUE", runpod_id="other")
    note(make_job("IN_QUEUE"))
    assert reread(other).not_found_count == 0


def test_a_job_that_is_there_after_all_starts_anew():
    job, other = doubted(), doubted(runpod_id="other")
    not_found.forget(job)
    assert (reread(job).not_found_count, job.not_found_since) == (0, None)
    assert reread(other).not_found_count == 2


@pytest.mark.parametrize("reason", [Reason.NOT_FOUND, Reason.ENDPOINT_NOT_FOUND])
def test_the_reason_is_what_runpod_does_not_know(reason):
    job = note(doubted(), reason)
    assert (job.status, job.reason) == ("CANCELLED", reason)
    assert job.events.get().actor == "sync"


@pytest.mark.parametrize("reason", [Reason.NOT_FOUND, Reason.ENDPOINT_NOT_FOUND])
def test_of_a_job_to_be_cancelled_a_404_is_what_was_asked_for(reason):
    job = doubted(cancel_requested_at=now())
    job.attempts.update(created_at=ago(9 * DAY))
    job = note(job, reason)
    assert (job.status, job.reason) == ("CANCELLED", "user")


# --- after a purge -----------------------------------------------------------------------
def test_one_404_is_enough_for_a_waiting_job_whose_queue_was_purged():
    job = make_job("IN_QUEUE")
    job.endpoint.purged_at = now()
    job = note(job)
    assert (job.status, job.reason, job.not_found_count) == ("CANCELLED", "purged", 0)


def test_a_purge_reaches_what_was_sent_at_the_same_moment():
    job = make_job("IN_QUEUE")
    job.endpoint.purged_at = job.attempts.get().created_at
    assert note(job).reason == "purged"


def test_a_purge_does_not_reach_what_came_after_it():
    job = note(doubted(count=0, endpoint=purged(60)))
    assert (job.status, job.not_found_count) == ("IN_QUEUE", 1)


@pytest.mark.parametrize("status", ["IN_PROGRESS", "UNCONFIRMED"])
def test_a_job_that_may_run_was_purged_only_if_three_404s_say_so(status):
    job = make_job(status)
    job.endpoint.purged_at = now()
    assert note(job).status == status
    job = doubted(status, runpod_id="other")
    job.endpoint.purged_at = now()
    assert note(job).reason == "purged"


def test_an_endpoint_that_has_gone_is_a_better_reason_than_a_purge():
    job = doubted("IN_PROGRESS")
    job.endpoint.purged_at = now()
    assert note(job, Reason.ENDPOINT_NOT_FOUND).reason == "endpoint_not_found"


# --- after its time to live --------------------------------------------------------------
@pytest.mark.parametrize(
    ("age", "reason", "end"),
    [
        (60, Reason.NOT_FOUND, ("TIMED_OUT", "ttl")),
        (-60, Reason.NOT_FOUND, ("CANCELLED", "")),
        (60, Reason.ENDPOINT_NOT_FOUND, ("CANCELLED", "")),
    ],
)
def test_a_job_is_deleted_by_runpod_when_its_time_to_live_is_over(age, reason, end):
    job = doubted("IN_PROGRESS", endpoint=make_endpoint(execution_timeout_seconds=500))
    job.attempts.update(created_at=ago(DAY + 500 + 3600 + age))
    job = note(job, reason)
    assert (job.status, job.error_code) == end


def test_a_job_past_its_time_to_live_says_so():
    job = doubted("IN_PROGRESS")
    job.attempts.update(created_at=ago(9 * DAY))
    assert "time to live was over" in note(job).error_message
    assert job.events.get().actor == "sync"


def test_a_404_that_comes_after_the_end_changes_no_end():
    job = doubted()
    Job.objects.update(status="COMPLETED", due_at=None)
    assert note(job).status == "COMPLETED"
