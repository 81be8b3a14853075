"""RunPod's word, a worker's manifest, and their contradictions."""

import hashlib
from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.lib.errors import Conflict
from jobs.models import Artifact, Endpoint, Job
from jobs.services.files import artifacts
from jobs.services.lifecycle import attempts, sync
from jobs.services.lifecycle.jobs import request_cancel
from jobs.services.operations import endpoints
from jobs.storage import local
from tests import drive
from tests.factories import make_endpoint, make_job
from tests.fakes import ENDPOINT_NOT_FOUND, JOB_NOT_FOUND

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def look(job, runpod):
    return drive.look(job, runpod.client())


def plain_job(status="IN_PROGRESS", **fields):
    return make_job(status, endpoint=make_endpoint(contract="plain"), **fields)


def manifest(*files, output=None, error=None):
    return {"schema": 1, "files": list(files), "output": output, "error": error}


def stored_file(attempt, content=b"result", name="out.txt"):
    key = f"out/{attempt.job_id.hex}/{name}"
    with local().writer(key, 0) as writer:
        writer.write(content)
    sha256 = hashlib.sha256(content).hexdigest()
    artifacts.keep(
        attempt,
        name=name,
        content_type="text/plain",
        size=len(content),
        sha256=sha256,
        key=key,
    )
    return {"name": name, "size": len(content), "sha256": sha256}


def test_a_plain_output_completes_the_job_and_is_kept(runpod):
    runpod.says("COMPLETED", output={"text": "done"})
    job = look(plain_job(), runpod)
    assert (job.status, job.output) == ("COMPLETED", {"text": "done"})


def test_completed_without_output_is_not_success(runpod):
    runpod.says("COMPLETED")
    job = look(plain_job(), runpod)
    assert (job.status, job.error_code) == ("FAILED", "result_missing")


def test_nan_and_nul_in_an_output_are_stored_safely(runpod):
    body = b'{"id":"job-u1","status":"COMPLETED","output":{"a":NaN,"b":"x\\u0000"}}'
    runpod.status_answer = (200, body)
    assert look(plain_job(), runpod).output == {"a": None, "b": "x�"}


def test_our_handlers_completion_needs_its_manifest(runpod):
    runpod.says("COMPLETED", output={"slipway": "done"})
    job = look(make_job("IN_PROGRESS"), runpod)
    assert job.status == "FINALIZING"
    Job.objects.update(moved_at=now() - timedelta(seconds=61))
    assert look(job, runpod).error_code == "result_missing"


def test_a_manifest_whose_files_match_completes_the_job(runpod):
    job = make_job("IN_PROGRESS")
    attempt = attempts.find(job.attempts.get().pk.hex)
    attempts.finish(attempt, manifest(stored_file(attempt), output={"n": 1}))
    job.refresh_from_db()
    assert (job.status, job.output) == ("COMPLETED", {"n": 1})
    assert not runpod.calls


@pytest.mark.parametrize("damage", ["missing", "hash", "disk"])
def test_a_manifest_that_lies_fails_the_job(damage):
    job = make_job("IN_PROGRESS")
    attempt = attempts.find(job.attempts.get().pk.hex)
    line = stored_file(attempt)
    if damage == "missing":
        line["name"] = "other.txt"
    if damage == "hash":
        line["sha256"] = "0" * 64
    if damage == "disk":
        local().delete(Artifact.objects.get().key)
    attempts.finish(attempt, manifest(line))
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("FAILED", "bad_manifest")


def test_the_first_manifest_stands():
    job = make_job("IN_PROGRESS")
    attempt = attempts.find(job.attempts.get().pk.hex)
    assert attempts.finish(attempt, manifest(output={"n": 1}))
    assert not attempts.finish(attempt, manifest(output={"n": 2}))
    job.refresh_from_db()
    assert job.output == {"n": 1}
    with pytest.raises(Conflict):
        attempts.claim(attempts.find(attempt.pk.hex), worker_id="w2", runpod_id="")


def test_a_claim_proves_an_unconfirmed_job(runpod):
    job = make_job("UNCONFIRMED", runpod_id="")
    attempt = attempts.find(job.attempts.get().pk.hex)
    attempts.claim(attempt, worker_id="w", runpod_id="job-u1")
    job.refresh_from_db()
    assert job.status == "IN_PROGRESS"
    assert job.attempts.get().runpod_id == "job-u1"


def test_a_manifest_wins_over_a_404(runpod):
    job = make_job("IN_PROGRESS")
    job.attempts.update(manifest=manifest(output={"n": 1}))
    runpod.status_answer = JOB_NOT_FOUND
    assert look(job, runpod).status == "COMPLETED"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(JOB_NOT_FOUND, "not_found"), (ENDPOINT_NOT_FOUND, "endpoint_not_found")],
)
def test_a_404_is_believed_after_three_answers_over_twenty_seconds(
    runpod, answer, reason
):
    runpod.status_answer = answer
    job = make_job("IN_PROGRESS")
    for _ in range(3):
        job = look(job, runpod)
    assert job.status == "IN_PROGRESS"
    Job.objects.update(not_found_since=now() - timedelta(seconds=21))
    job = look(job, runpod)
    assert (job.status, job.reason) == ("CANCELLED", reason)


def test_two_404s_are_not_three_however_long_they_take(runpod):
    runpod.status_answer = JOB_NOT_FOUND
    job = make_job("IN_PROGRESS")
    Job.objects.update(not_found_since=now() - timedelta(hours=1))
    job = look(look(job, runpod), runpod)
    assert job.status == "IN_PROGRESS"


def test_a_404_that_was_a_passing_trouble_is_forgotten(runpod):
    runpod.status_answer = JOB_NOT_FOUND
    job = look(make_job("IN_PROGRESS"), runpod)
    assert job.not_found_count == 1
    runpod.says("IN_PROGRESS")
    assert look(job, runpod).not_found_count == 0


def test_a_purged_job_is_cancelled_with_that_reason(runpod, monkeypatch):
    job = make_job("IN_QUEUE")
    monkeypatch.setattr(endpoints, "client_for", lambda _: runpod.client())
    endpoints.purge_queue(Endpoint.objects.get())
    runpod.status_answer = JOB_NOT_FOUND
    job = look(job, runpod)
    assert (job.status, job.reason) == ("CANCELLED", "purged")


def test_an_unknown_status_means_running(runpod):
    runpod.says("DANCING")
    assert look(make_job("IN_QUEUE"), runpod).status == "IN_PROGRESS"


def test_an_ended_job_hears_nothing_any_more(runpod):
    runpod.says("IN_PROGRESS")
    assert look(make_job("COMPLETED"), runpod).status == "COMPLETED"
    assert not runpod.calls


def test_a_worker_that_died_gets_the_job_queued_again(runpod):
    runpod.says("IN_QUEUE")
    assert look(make_job("IN_PROGRESS"), runpod).status == "IN_QUEUE"


@pytest.mark.parametrize(
    "error",
    ["job timed out after 1 retries", "worker lost: Slipway could not be reached"],
)
def test_a_lost_worker_leads_to_another_attempt_up_to_the_limit(runpod, error):
    runpod.says("FAILED", error=error)
    job = look(make_job("IN_PROGRESS"), runpod)
    assert job.status == "PENDING"
    last = make_job("IN_PROGRESS", endpoint=make_endpoint("once", max_attempts=1))
    last = look(last, runpod)
    assert (last.status, last.error_code) == ("FAILED", "worker_lost")


def test_a_handlers_exception_is_shown_without_its_traceback(runpod):
    runpod.says(
        "FAILED",
        error='{"error_type":"<class>","error_message":"boom","error_traceback":"File x"}',
    )
    job = look(make_job("IN_PROGRESS"), runpod)
    assert (job.status, job.error_message) == ("FAILED", "boom")


@pytest.mark.parametrize("error", ["{}", '{{"error_message": "{}"}}'])
def test_no_secret_in_a_handlers_error_is_kept(runpod, settings, error):
    settings.HUGGING_FACE_TOKEN = "canary-of-the-hub"
    runpod.says("FAILED", error=error.format("no canary-of-the-hub at x://me:canary@h"))
    job = look(plain_job(), runpod)
    assert job.error_message == "no [secret] at x://[secret]@h"
    assert "canary" not in job.attempts.get().raw_error


def test_runpods_time_out_is_ours(runpod):
    runpod.says("TIMED_OUT")
    assert look(make_job("IN_PROGRESS"), runpod).status == "TIMED_OUT"


@pytest.mark.parametrize("status", ["UNCONFIRMED", "IN_QUEUE", "IN_PROGRESS"])
def test_past_every_deadline_a_job_ends_whatever_runpod_says_or_does_not(status):
    job = make_job(status)
    young = make_job(status, runpod_id="young")
    job.attempts.update(created_at=now() - timedelta(days=3))
    sync.time_out_overdue(job.endpoint)
    job.refresh_from_db()
    young.refresh_from_db()
    assert (job.status, young.status) == ("TIMED_OUT", status)


def test_past_every_deadline_a_result_still_wins():
    job = make_job("IN_PROGRESS")
    job.attempts.update(
        created_at=now() - timedelta(days=3), manifest=manifest(output={"n": 1})
    )
    sync.time_out_overdue(job.endpoint)
    job.refresh_from_db()
    assert (job.status, job.output) == ("COMPLETED", {"n": 1})


def test_a_held_job_is_cancelled_at_once():
    job = make_job()
    assert request_cancel(job)
    assert (job.status, job.reason) == ("CANCELLED", "user")


def test_a_running_job_is_cancelled_through_runpod_and_only_by_its_word(runpod):
    job = make_job("IN_PROGRESS")
    assert request_cancel(job)
    runpod.says("IN_PROGRESS")
    job = look(job, runpod)
    assert job.status == "IN_PROGRESS"
    assert [path for path, _ in runpod.calls] == ["cancel", "status"]
    runpod.says("CANCELLED")
    job = look(job, runpod)
    assert (job.status, job.reason) == ("CANCELLED", "user")


def test_if_runpod_finished_first_the_result_stands(runpod):
    job = plain_job()
    request_cancel(job)
    runpod.says("COMPLETED", output=1)
    assert look(job, runpod).status == "COMPLETED"


def test_progress_only_rises_and_stops_with_the_job():
    job = make_job("IN_PROGRESS")
    attempt = attempts.find(job.attempts.get().pk.hex)
    attempts.report_progress(attempt, {"seq": 5, "fraction": 0.5})
    attempts.report_progress(attempt, {"seq": 4, "fraction": 0.4})
    job.refresh_from_db()
    assert job.progress["fraction"] == 0.5
    assert attempts.report_progress(attempt, {"seq": 6}) is True
    request_cancel(job)
    assert attempts.report_progress(attempt, {"seq": 7}) is False


def test_a_worker_that_stopped_on_our_wish_cancels_the_job():
    stopped = manifest(error={"code": "cancelled", "message": "x", "retryable": False})
    job = make_job("IN_PROGRESS")
    assert not attempts.finish(attempts.find(job.attempts.get().pk.hex), stopped)
    job.refresh_from_db()
    assert job.status == "IN_PROGRESS"  # nobody here asked: RunPod's word decides
    request_cancel(job)
    assert attempts.finish(attempts.find(job.attempts.get().pk.hex), stopped)
    job.refresh_from_db()
    assert (job.status, job.reason) == ("CANCELLED", "user")


def test_a_cancelled_job_whose_worker_is_lost_is_cancelled(runpod):
    job = make_job("IN_PROGRESS")
    request_cancel(job)
    runpod.says("FAILED", error="job timed out after 1 retries")
    job = look(job, runpod)
    assert (job.status, job.reason) == ("CANCELLED", "user")
