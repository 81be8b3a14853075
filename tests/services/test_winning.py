"""Results of attempts that were given up for lost, and losers that are stopped."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.lib.errors import Conflict
from jobs.models import Attempt, Endpoint, Job
from jobs.services.lifecycle import attempts, reconcile
from jobs.shifts.loop import actions
from tests import drive
from tests.factories import make_endpoint, make_job
from tests.fakes import JOB_NOT_FOUND
from tests.services.test_sync import manifest, stored_file

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def second_attempt(status):
    """Return a job at its second attempt, and both attempts."""
    job = make_job(status, attempt_no=2, runpod_id="second")
    first = Attempt.objects.create(job=job, number=1, runpod_id="first")
    return job, attempts.find(first.pk.hex), job.attempts.get(number=2)


@pytest.mark.parametrize(
    "status", ["PENDING", "SUBMITTING", "UNCONFIRMED", "IN_QUEUE", "IN_PROGRESS"]
)
def test_the_result_of_an_earlier_attempt_is_taken_wherever_the_job_is(status):
    job, first, second = second_attempt(status)
    assert attempts.finish(first, manifest(stored_file(first), output={"n": 1}))
    job.refresh_from_db()
    assert (job.status, job.output, job.attempt_no) == ("COMPLETED", {"n": 1}, 1)
    second.refresh_from_db()
    assert second.is_unwanted
    assert [a.pk for a in attempts.unwanted(9)] == [second.pk]
    attempts.stopped(second)
    assert attempts.unwanted(9) == []


def test_an_error_of_an_earlier_attempt_is_no_news():
    job, first, _ = second_attempt("IN_PROGRESS")
    error = {"code": "worker_error", "message": "boom", "retryable": False}
    attempts.finish(first, manifest(error=error))
    job.refresh_from_db()
    assert job.status == "IN_PROGRESS"


def test_a_result_after_the_end_is_kept_and_changes_nothing():
    job = make_job("TIMED_OUT")
    attempt = attempts.find(job.attempts.get().pk.hex)
    assert attempts.finish(attempt, manifest(output={"n": 1}))
    job.refresh_from_db()
    assert (job.status, job.output) == ("TIMED_OUT", None)
    assert job.attempts.get().manifest["output"] == {"n": 1}


def test_a_lost_attempt_that_turns_up_is_refused_and_stopped():
    _, first, _ = second_attempt("IN_QUEUE")
    Attempt.objects.filter(pk=first.pk).update(runpod_id="")
    first = attempts.find(first.pk.hex)
    with pytest.raises(Conflict):
        attempts.claim(first, worker_id="w", runpod_id="turned-up")
    assert [a.runpod_id for a in attempts.unwanted(9)] == ["turned-up"]


def test_a_404_after_the_time_to_live_is_a_time_out(runpod):
    runpod.status_answer = JOB_NOT_FOUND
    job = make_job("IN_PROGRESS", not_found_count=2)
    long_ago = now() - timedelta(days=2)
    Job.objects.update(not_found_since=long_ago)
    job.attempts.update(created_at=long_ago)
    job = drive.look(job, runpod.client())
    assert (job.status, job.error_code) == ("TIMED_OUT", "ttl")


def test_what_runpod_calls_cancelled_after_our_purge_was_purged(runpod):
    job = make_job("IN_QUEUE")
    Endpoint.objects.update(purged_at=now())
    runpod.says("CANCELLED")
    job = drive.look(job, runpod.client())
    assert (job.status, job.reason) == ("CANCELLED", "purged")


def test_a_step_that_ends_processes_is_not_begun_a_fourth_time():
    job = make_job("IN_PROGRESS")
    for _ in range(3):
        assert reconcile.begin_step(job)
        job.refresh_from_db()
    assert not reconcile.begin_step(job)
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("FAILED", "poison")


def test_a_step_that_ends_well_starts_the_count_anew():
    job = make_job("IN_PROGRESS")
    reconcile.begin_step(job)
    reconcile.end_step(job)
    job.refresh_from_db()
    assert job.unfinished_steps == 0


def test_a_new_shift_doubts_what_the_one_before_was_sending():
    job = make_job("SUBMITTING", runpod_id="")
    reconcile.doubt_orphans()
    job.refresh_from_db()
    assert job.status == "UNCONFIRMED"


def test_a_job_is_not_sent_more_often_than_the_endpoint_allows(runpod):
    endpoint = make_endpoint(max_attempts=2, proof_seconds=0)
    job = make_job("UNCONFIRMED", endpoint=endpoint, attempt_no=2, runpod_id="")
    Attempt.objects.create(job=job, number=1)
    job = drive.look(job, runpod.client())
    assert (job.status, job.error_code) == ("FAILED", "unconfirmed")


def test_only_deaths_count_and_not_the_steps_that_mend_them(runpod):
    endpoint = make_endpoint(proof_seconds=0, max_attempts=9)
    job = make_job("SUBMITTING", endpoint=endpoint, unfinished_steps=2, runpod_id="")
    Job.objects.update(moved_at=now() - timedelta(hours=1))
    actions._step(job.pk)
    job.refresh_from_db()
    assert (job.status, job.unfinished_steps) == ("UNCONFIRMED", 1)
    actions._step(job.pk)
    job.refresh_from_db()
    assert (job.status, job.unfinished_steps) == ("PENDING", 1)
