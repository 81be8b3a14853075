"""Handing a job over: what is sent, and what each answer leads to."""

from datetime import timedelta

import httpx
import pytest
from django.utils.timezone import now

from jobs.models import Alert, Attempt, Endpoint, Job, Upload
from jobs.services.lifecycle import jobs, submission
from jobs.storage import S3
from tests import drive
from tests.factories import PNG, SCHEMA, make_endpoint, make_job, make_upload

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def submit(job, runpod):
    return drive.submit(job, runpod.client())


def test_a_job_that_runpod_accepts_is_in_queue_with_its_id(runpod):
    job = submit(make_job(), runpod)
    assert job.status == "IN_QUEUE"
    assert job.attempts.get().runpod_id == "job-u1"


def test_policy_times_are_always_sent_and_ttl_covers_queue_and_execution(runpod):
    endpoint = make_endpoint(execution_timeout_seconds=100)
    submit(make_job(endpoint=endpoint), runpod)
    policy = runpod.runs()[0]["policy"]
    assert policy["executionTimeout"] == 100_000
    assert policy["ttl"] == (24 * 3600 + 100 + 3600) * 1000


def test_files_become_links_and_our_handler_gets_its_envelope(runpod):
    upload = make_upload()
    endpoint = make_endpoint(input_schema=SCHEMA)
    job = make_job(endpoint=endpoint, input={"media": f"upload:{upload.pk}"})
    submit(job, runpod)
    sent = runpod.runs()[0]["input"]
    assert sent["media"].startswith("http://testserver/files/")
    assert sent["_slipway"]["job"] == str(job.pk)
    assert sent["_slipway"]["runner"] == "blur"


def test_a_plain_endpoint_gets_no_envelope(runpod):
    submit(make_job(endpoint=make_endpoint(contract="plain")), runpod)
    assert runpod.runs()[0]["input"] == {"text": "hi"}


@pytest.mark.parametrize(
    "answer", [(429, {}), httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")]
)
def test_nothing_was_accepted_so_the_job_waits_and_the_attempt_never_was(
    runpod, answer
):
    runpod.run_answer = answer
    job = submit(make_job(), runpod)
    assert job.status == "PENDING"
    assert not Attempt.objects.filter(job=job).exists()


def test_a_later_try_counts_on_from_the_fence(runpod):
    runpod.run_answer = (429, {})
    job = submit(make_job(), runpod)
    runpod.run_answer = (200, {"id": "job-u1", "status": "IN_QUEUE"})
    job = submit(job, runpod)
    assert (job.status, job.attempt_no) == ("IN_QUEUE", 2)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ReadTimeout("silent"),
        httpx.RemoteProtocolError("cut"),
        (500, {}),
        (502, b"<html>bad gateway</html>"),
        (408, {}),
        (200, b"not json"),
        (200, {"status": "IN_QUEUE"}),
        (200, b"[" * 100_000),
    ],
)
def test_no_clear_answer_leaves_the_job_unconfirmed(runpod, answer):
    runpod.run_answer = answer
    assert submit(make_job(), runpod).status == "UNCONFIRMED"


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "key_refused"), (403, "key_refused"), (402, "payment_required")],
)
def test_what_the_operator_can_mend_holds_the_job_and_alerts(runpod, status, code):
    runpod.run_answer = (status, {})
    job = submit(make_job(), runpod)
    assert job.status == "PENDING"
    assert Alert.objects.get(endpoint=job.endpoint).code == code


@pytest.mark.parametrize("status", [400, 413])
def test_a_refusal_fails_the_job_with_runpods_words(runpod, status):
    runpod.run_answer = (status, {"detail": "no such key"})
    job = submit(make_job(), runpod)
    assert (job.status, job.error_code) == ("FAILED", "refused")
    assert str(status) in job.error_message


def test_a_missing_key_is_named(runpod):
    job = submit(make_job(endpoint=make_endpoint(key_name="OTHER")), runpod)
    assert job.error_code == "no_runpod_key"
    assert "RUNPOD_API_KEY_OTHER" in job.error_message
    assert not runpod.runs()


def test_a_404_for_the_endpoint_ends_the_job_only_when_it_is_certain(runpod):
    runpod.run_answer = (404, {"message": "Not Found"})
    job = submit(make_job(), runpod)
    assert job.status == "PENDING"
    Endpoint.objects.update(unreachable_at=now() - timedelta(seconds=21))
    job = submit(Job.objects.get(), runpod)
    assert job.status == "PENDING"  # two answers are not three
    assert not Alert.objects.exists()
    job = submit(Job.objects.get(), runpod)
    assert (job.status, job.reason) == ("CANCELLED", "endpoint_not_found")
    alert = Alert.objects.get()
    assert "negative account balance" in alert.message
    assert "recreate" in alert.remedy


def test_an_input_over_ten_mebibytes_is_never_sent(runpod):
    job = submit(make_job(input={"text": "x" * (10 * 1024 * 1024)}), runpod)
    assert job.error_code == "too_large"
    assert not runpod.runs()


def test_a_job_whose_upload_is_gone_fails_with_the_reason(runpod):
    upload = make_upload()
    job = make_job(input={"media": f"upload:{upload.pk}"})
    upload.delete()
    assert submit(job, runpod).error_code == "input_unavailable"


def test_a_job_waits_for_its_upload_to_be_verified(runpod):
    upload = make_upload()
    type(upload).objects.update(status="verifying")
    job = submit(make_job(input={"media": f"upload:{upload.pk}"}), runpod)
    assert job.status == "PENDING"
    assert not runpod.runs()


def test_a_submitter_that_died_leaves_a_doubt_not_a_second_run(runpod, monkeypatch):
    job = make_job("SUBMITTING", runpod_id="")
    drive.look(job, runpod.client())
    job.refresh_from_db()
    assert job.status == "SUBMITTING"
    monkeypatch.setattr("jobs.lib.conf.SUBMITTING_LOST_SECONDS", 0, raising=False)
    job = drive.look(job, runpod.client())
    assert job.status == "UNCONFIRMED"
    assert not runpod.runs()


@pytest.mark.parametrize(
    ("on_unknown", "status", "twice"),
    [("resubmit", "PENDING", True), ("hold", "FAILED", False)],
)
def test_without_proof_the_endpoint_decides(runpod, on_unknown, status, twice):
    endpoint = make_endpoint(on_unknown=on_unknown, proof_seconds=0)
    job = make_job("UNCONFIRMED", endpoint=endpoint, runpod_id="")
    drive.look(job, runpod.client())
    job.refresh_from_db()
    assert (job.status, job.has_maybe_run_twice) == (status, twice)


def test_proof_is_waited_for(runpod):
    job = make_job("UNCONFIRMED", runpod_id="")
    drive.look(job, runpod.client())
    assert Job.objects.get().status == "UNCONFIRMED"


def test_a_file_in_the_bucket_becomes_the_buckets_own_link(runpod, s3):
    upload = make_upload()
    s3.save(upload.key, [PNG])
    Upload.objects.update(store=S3)
    endpoint = make_endpoint(input_schema=SCHEMA)
    submit(make_job(endpoint=endpoint, input={"media": f"upload:{upload.pk}"}), runpod)
    sent = runpod.runs()[0]["input"]
    assert httpx.get(sent["media"], trust_env=False).content == PNG
    assert sent["media"].startswith(f"{sent['_slipway']['bucket_url']}/")


def test_a_job_whose_bucket_is_away_waits_and_its_attempt_never_was(
    runpod, s3, settings
):
    upload = make_upload()
    Upload.objects.update(store=S3)
    settings.S3_BUCKET = ""
    endpoint = make_endpoint(input_schema=SCHEMA)
    job = make_job(endpoint=endpoint, input={"media": f"upload:{upload.pk}"})
    assert submit(job, runpod).status == "PENDING"
    assert not Attempt.objects.exists()
    assert runpod.runs() == []


def test_a_job_that_was_moved_meanwhile_is_not_sent_where_it_was():
    here, target = make_endpoint("here"), make_endpoint("there", runpod_id="b")
    seen = make_job(endpoint=here)
    assert jobs.move_to(Job.objects.get(), target)
    assert submission.prepare(seen) is None
    job = Job.objects.get()
    assert (job.status, job.endpoint, job.attempts.count()) == ("PENDING", target, 0)
    assert submission.prepare(job) is not None
