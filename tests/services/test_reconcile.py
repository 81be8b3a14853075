"""The steps that need no remote call: doubts, their end, and rows that end processes."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.models import Attempt, Job
from jobs.services.lifecycle import reconcile
from tests.factories import make_endpoint, make_job
from tests.rows import ago, is_in, reread
from tests.services.test_sync import manifest

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def step(job):
    reconcile.step(job)
    return reread(job)


def doubtful(age=700, **fields):
    """Return a job that has been UNCONFIRMED for `age` seconds."""
    endpoint = make_endpoint(**fields)
    return make_job("UNCONFIRMED", endpoint=endpoint, runpod_id="", moved_at=ago(age))


# --- a submitter that is silent ----------------------------------------------------------
def test_a_submitter_has_forty_five_seconds():
    job, since = make_job("SUBMITTING", moved_at=ago(40)), now()
    assert step(job).status == "SUBMITTING"
    assert is_in(job.due_at, 5, since=since)


@pytest.mark.parametrize(("unfinished_steps", "deaths"), [(1, 0), (3, 2), (0, 0)])
def test_a_submitter_that_is_silent_for_longer_is_lost_but_not_dead(
    unfinished_steps, deaths
):
    job = step(
        make_job("SUBMITTING", moved_at=ago(46), unfinished_steps=unfinished_steps)
    )
    assert (job.status, job.unfinished_steps) == ("UNCONFIRMED", deaths)
    assert job.events.get().actor == "sweeper"


def test_a_new_shift_doubts_only_what_was_being_sent():
    statuses = ("PENDING", "SUBMITTING", "IN_QUEUE")
    rows = [make_job(status, unfinished_steps=2) for status in statuses]
    reconcile.doubt_orphans()
    assert [reread(job).status for job in rows] == [
        "PENDING",
        "UNCONFIRMED",
        "IN_QUEUE",
    ]
    assert rows[1].events.get().actor == "sweeper"
    assert {reread(job).unfinished_steps for job in rows} == {
        2
    }  # who sent it may have died of it


# --- a doubt without proof ---------------------------------------------------------------
def test_proof_is_looked_for_as_long_as_the_endpoint_says():
    job, since = doubtful(90, proof_seconds=100), now()
    assert step(job).status == "UNCONFIRMED"
    assert is_in(job.due_at, 2, since=since)
    Job.objects.update(moved_at=ago(101))
    assert step(reread(job)).status == "PENDING"


def test_a_doubt_that_is_over_sends_the_job_again_and_says_so():
    job = doubtful()
    Job.objects.update(unfinished_steps=2)
    job = step(reread(job))
    assert (job.status, job.has_maybe_run_twice, job.unfinished_steps) == (
        "PENDING",
        True,
        2,
    )


@pytest.mark.parametrize("on_unknown", ["resubmit", "hold"])
def test_a_doubt_about_a_job_to_be_cancelled_cancels_it(on_unknown):
    job = doubtful(on_unknown=on_unknown)
    Job.objects.update(cancel_requested_at=now())
    job = step(reread(job))
    assert (job.status, job.reason) == ("CANCELLED", "user")
    assert (job.has_maybe_run_twice, job.events.get().actor) == (False, "sweeper")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"on_unknown": "hold"}, "does not allow sending it twice"),
        ({"max_attempts": 1}, "this endpoint allows no more attempts"),
    ],
)
def test_a_job_that_may_not_be_sent_again_fails_and_a_person_decides(fields, words):
    job = step(doubtful(**fields))
    assert (job.status, job.error_code) == ("FAILED", "unconfirmed")
    assert words in job.error_message
    assert "It may have run." in job.error_message
    assert (job.is_error_retryable, job.events.get().actor) == (True, "sweeper")


@pytest.mark.parametrize(("most", "status"), [(2, "FAILED"), (3, "PENDING")])
def test_every_attempt_counts_for_how_often_a_job_is_sent(most, status):
    job = doubtful(max_attempts=most)
    Attempt.objects.create(job=job, number=7)
    assert step(job).status == status


def test_proof_ends_a_doubt_whenever_it_comes():
    job = doubtful(on_unknown="hold")
    job.attempts.update(manifest=manifest(output={"n": 1}))
    assert step(job).status == "COMPLETED"


# --- other steps -------------------------------------------------------------------------
def test_a_result_that_waits_is_collected():
    job = make_job("FINALIZING", moved_at=ago(61))
    assert step(job).error_code == "result_missing"


@pytest.mark.parametrize("status", ["PENDING", "IN_QUEUE", "IN_PROGRESS", "COMPLETED"])
def test_other_jobs_need_no_step(status):
    assert step(make_job(status, moved_at=ago(9999))).revision == 0


# --- steps that end processes ------------------------------------------------------------
@pytest.mark.parametrize("status", ["UNCONFIRMED", "IN_QUEUE", "FINALIZING"])
def test_a_job_whose_steps_ended_three_processes_fails(status):
    job = make_job(status, unfinished_steps=3)
    assert not reconcile.begin_step(job)
    assert (reread(job).status, job.error_code) == ("FAILED", "poison")
    assert "three times" in job.error_message
    assert job.events.get().actor == "sweeper"


def test_a_job_whose_sending_ended_three_processes_is_doubted_first():
    job = make_job("SUBMITTING", unfinished_steps=4)  # three deaths, and the claim
    assert not reconcile.begin_step(job)
    assert (reread(job).status, job.unfinished_steps, job.error_code) == (
        "UNCONFIRMED",
        4,
        "",
    )
    assert not reconcile.begin_step(job)
    assert (reread(job).status, job.error_code) == ("FAILED", "poison")


def test_a_step_that_begins_is_counted_until_it_ends():
    job, other = (
        make_job("IN_QUEUE", unfinished_steps=1),
        make_job("IN_QUEUE", unfinished_steps=2),
    )
    assert reconcile.begin_step(job)
    assert reread(job).unfinished_steps == 2
    reconcile.end_step(job)
    assert (reread(job).unfinished_steps, reread(other).unfinished_steps) == (0, 2)


def test_a_step_that_others_finish_leaves_the_count_of_their_deaths():
    job, other = (
        make_job("FINALIZING", unfinished_steps=2),
        make_job("FINALIZING", unfinished_steps=1),
    )
    reconcile.begin_step(job)
    reconcile.leave_step(job)
    assert (reread(job).unfinished_steps, reread(other).unfinished_steps) == (2, 1)


def test_a_look_comes_later_only_for_the_job_it_is_about():
    soon = now() + timedelta(seconds=1)
    job, other = (
        make_job("SUBMITTING", due_at=soon),
        make_job("SUBMITTING", due_at=soon),
    )
    step(job)
    assert reread(other).due_at == soon < job.due_at


def test_a_claim_that_nobody_has_died_of_is_no_death():
    job = make_job("SUBMITTING", unfinished_steps=3)
    assert reconcile.begin_step(job)
    assert reread(job).status == "SUBMITTING"
