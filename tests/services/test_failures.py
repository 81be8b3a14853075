"""What a failure leads to: another attempt, or an end; and whose manifest counts."""

import json

import pytest
from django.utils.timezone import now

from jobs.models import Attempt, Job
from jobs.services.lifecycle import attempts, reconcile, sync
from tests import drive
from tests.factories import make_batch, make_endpoint, make_job
from tests.fakes import JOB_NOT_FOUND
from tests.rows import ago, is_in, reread
from tests.services.test_sync import manifest, plain_job
from tests.services.test_winning import second_attempt

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def failure(code="worker_error", *, message="boom", retryable=True):
    return manifest(error={"code": code, "message": message, "retryable": retryable})


def deliver(job, result):
    """Let the worker of the job's current attempt deliver `result`."""
    attempts.finish(
        attempts.find(job.attempts.get(number=job.attempt_no).pk.hex), result
    )
    return reread(job)


# --- another attempt ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("attempt", "pause"), [(1, 2), (2, 4), (3, 8), (6, 60), (40, 60)]
)
def test_each_attempt_waits_longer_than_the_one_before_up_to_a_minute(attempt, pause):
    endpoint = make_endpoint(max_attempts=99)
    job = make_job("IN_PROGRESS", endpoint=endpoint, attempt_no=attempt)
    for number in range(1, attempt):
        Attempt.objects.create(job=job, number=number)
    since = now()
    job = deliver(job, failure())
    assert job.status == "PENDING"
    assert is_in(job.due_at, pause, since=since)


def test_another_attempt_begins_without_the_progress_of_the_last():
    job = make_job("IN_PROGRESS", progress={"seq": 7, "fraction": 0.5}, progress_seq=7)
    job = deliver(job, failure())
    assert (job.status, job.progress, job.progress_seq) == ("PENDING", {}, 0)
    assert job.attempts.get().ended_at


@pytest.mark.parametrize(("most", "status"), [(2, "FAILED"), (3, "PENDING")])
def test_an_endpoint_says_how_often_a_job_may_be_tried(most, status):
    endpoint = make_endpoint(max_attempts=most)
    job = make_job("IN_PROGRESS", endpoint=endpoint, attempt_no=2)
    Attempt.objects.create(job=job, number=1)
    assert deliver(job, failure()).status == status


def test_what_cannot_be_mended_by_trying_again_is_not_tried_again():
    job = deliver(make_job("IN_PROGRESS"), failure(retryable=False))
    assert (job.status, job.error_code, job.error_message) == (
        "FAILED",
        "worker_error",
        "boom",
    )
    assert (job.is_error_retryable, job.events.get().actor) == (False, "sync")


def test_a_person_may_try_again_what_failed_too_often():
    endpoint = make_endpoint(max_attempts=1)
    job = deliver(make_job("IN_PROGRESS", endpoint=endpoint), failure())
    assert (job.status, job.is_error_retryable) == ("FAILED", True)


def test_a_long_error_is_cut():
    job = make_job("IN_PROGRESS")
    job = deliver(job, failure("c" * 99, message="m" * 5000, retryable=False))
    assert (job.error_code, job.error_message) == ("c" * 60, "m" * 4000)


@pytest.mark.parametrize(
    ("code", "retryable", "status"),
    [
        ("cancelled", False, "CANCELLED"),
        ("worker_lost", True, "CANCELLED"),
        ("worker_error", False, "FAILED"),
    ],
)
def test_a_job_to_be_cancelled_is_not_tried_again(code, retryable, status):
    job = make_job("IN_PROGRESS", cancel_requested_at=now())
    job = deliver(job, failure(code, retryable=retryable))
    assert (job.status, job.reason) == (status, "user" if status == "CANCELLED" else "")


# --- items of a batch --------------------------------------------------------------------
@pytest.mark.parametrize(
    ("most", "code", "retryable", "index", "status"),
    [
        (5, "worker_error", False, 0, "PENDING"),
        (1, "worker_error", True, 0, "FAILED"),
        (5, "invalid_input", True, 0, "FAILED"),
        (5, "input_unavailable", True, 0, "FAILED"),
        (None, "worker_error", True, 0, "PENDING"),
        (None, "worker_error", False, 0, "FAILED"),
        (5, "worker_error", False, None, "FAILED"),
    ],
)
def test_a_batch_may_say_how_often_its_items_are_tried(
    most, code, retryable, index, status
):
    other = {"items": [{"n": 1}], "max_attempts": most and 6 - most}
    make_batch(**other)
    batch = make_batch([{"n": 1}], max_attempts=most)
    make_batch(**other)
    job = make_job("IN_PROGRESS", batch=batch, batch_index=index)
    assert deliver(job, failure(code, retryable=retryable)).status == status


# --- what a handler's error says ---------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (None, "worker_error", "The worker failed without saying why."),
        ("plain words\ntraceback: File x", "worker_error", "plain words"),
        (json.dumps({"error_message": " boom \ntraceback: y"}), "worker_error", "boom"),
        ({"error_message": 7}, "worker_error", "7"),
        ({"other": 1}, "worker_error", '{"other": 1}'),
        ('["error_message"]', "worker_error", '["error_message"]'),
        (
            "x: job timed out after 3 retries",
            "worker_lost",
            "The worker was lost while it had this job.",
        ),
    ],
)
def test_an_error_is_shown_in_the_handlers_words(runpod, error, code, message):
    runpod.says("FAILED", error=error)
    endpoint = make_endpoint(contract="plain", max_attempts=1)
    job = drive.look(make_job("IN_PROGRESS", endpoint=endpoint), runpod.client())
    assert (job.status, job.error_code, job.error_message) == ("FAILED", code, message)
    assert job.is_error_retryable == (code == "worker_lost")


# --- manifests ---------------------------------------------------------------------------
def test_a_manifest_counts_only_where_our_handler_is(runpod):
    job = plain_job()
    job.attempts.update(manifest=manifest(output={"n": 1}))
    runpod.says("IN_PROGRESS")
    assert drive.look(job, runpod.client()).status == "IN_PROGRESS"


def test_of_two_results_the_first_attempts_stands():
    job, first, _ = second_attempt("IN_PROGRESS")
    job.attempts.filter(number=2).update(manifest=manifest(output={"n": 2}))
    attempts.finish(first, manifest(output={"n": 1}))
    assert reread(job).output == {"n": 1}


def test_a_result_stands_though_an_earlier_attempt_failed():
    job, first, _ = second_attempt("IN_PROGRESS")
    attempts.finish(first, failure())
    job = deliver(job, manifest(output={"n": 2}))
    assert (job.status, job.output, job.attempt_no) == ("COMPLETED", {"n": 2}, 2)


@pytest.mark.parametrize("status", ["PENDING", "SUBMITTING"])
def test_an_error_comes_too_early_where_runpod_has_not_answered(status):
    job = deliver(make_job(status, attempt_no=1), failure(retryable=False))
    assert job.status == status
    reconcile.step(job)
    assert reread(job).status == status


def test_an_error_of_an_unconfirmed_attempt_is_its_proof_and_end(runpod):
    job = make_job("UNCONFIRMED")
    job.attempts.update(manifest=failure(retryable=False))
    runpod.status_answer = JOB_NOT_FOUND
    job = drive.look(job, runpod.client())
    assert (job.status, job.not_found_count) == ("FAILED", 0)


def test_an_error_ends_a_job_past_every_deadline_with_its_own_words():
    job = make_job("IN_PROGRESS")
    job.attempts.update(
        created_at=ago(3 * 24 * 3600), manifest=failure(retryable=False)
    )
    sync.time_out_overdue(job.endpoint)
    assert reread(job).error_code == "worker_error"


def test_only_losers_that_may_still_run_are_stopped():
    job, first, _ = second_attempt("IN_PROGRESS")
    numbers = {
        3: {"ended_at": now(), "runpod_id": "ended"},
        4: {},
        5: {"runpod_id": "x"},
    }
    for number, fields in numbers.items():
        Attempt.objects.create(job=job, number=number, **fields)
    attempts.finish(first, manifest(output={"n": 1}))
    assert {a.number for a in Attempt.objects.filter(is_unwanted=True)} == {2, 5}


def test_a_result_for_a_job_that_has_just_ended_stops_nobody():
    job, first, second = second_attempt("IN_PROGRESS")
    Job.objects.update(status="CANCELLED", due_at=None)
    attempts.finish(first, manifest(output={"n": 1}))
    assert (reread(job).status, job.output) == ("CANCELLED", None)
    assert not reread(second).is_unwanted


def test_a_result_is_looked_at_once(runpod):
    job = make_job("FINALIZING")
    job.attempts.update(manifest=manifest(output={"n": 1}))
    reconcile.step(job)
    assert (reread(job).status, job.output) == ("COMPLETED", {"n": 1})
