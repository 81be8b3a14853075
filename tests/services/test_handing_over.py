"""What is written down around a POST /run, whenever and however its answer comes."""

import time
from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.lib import links
from jobs.lib.errors import LinkRefused
from jobs.models import Job
from jobs.runpod import RUN_MAX_BYTES, RemoteJob
from jobs.runpod.answers import run_body
from jobs.runpod.errors import (
    Busy,
    EndpointNotFound,
    JobNotFound,
    NoAnswer,
    NotSent,
    Refused,
)
from jobs.services.lifecycle import submission
from tests.factories import make_endpoint, make_job, make_local, make_upload
from tests.rows import ago, is_in, reread

pytestmark = [pytest.mark.db, pytest.mark.django_db]
ACCEPTED = RemoteJob("job-u1", "IN_QUEUE")


def sending(**fields):
    """Claim a held job and return what is to be sent."""
    prepared = submission.prepare(make_job(**fields))
    assert prepared
    return prepared


def with_upload(**changes):
    """Return a held job whose input file is in the state that `changes` says."""
    upload = make_upload()
    type(upload).objects.update(**changes)
    return make_job(input={"media": f"upload:{upload.pk}"})


# --- claiming ----------------------------------------------------------------------------
def test_a_claim_is_written_down_before_anything_is_sent():
    claimed = sending(attempt_no=4)
    job = reread(claimed.job)
    assert (job.status, job.attempt_no, job.unfinished_steps) == ("SUBMITTING", 5, 1)
    assert (claimed.attempt.number, claimed.attempt.runpod_id) == (5, "")


def test_a_job_that_was_to_be_cancelled_is_not_sent():
    job = make_job(cancel_requested_at=now())
    assert submission.prepare(job) is None
    assert (reread(job).status, job.reason) == ("CANCELLED", "user")
    assert job.events.get().actor == "user"
    assert not job.attempts.exists()


def test_a_job_that_another_has_claimed_is_not_sent_twice():
    first = make_job()
    second = Job.objects.get()
    assert submission.prepare(first)
    assert submission.prepare(second) is None
    assert first.attempts.count() == 1


def test_a_job_that_was_moved_is_not_sent_though_others_are_there_still():
    seen, other = make_job(), make_job()
    Job.objects.filter(pk=seen.pk).update(endpoint=make_endpoint("there"))
    assert submission.prepare(seen) is None
    assert (reread(seen).status, seen.attempts.count()) == ("PENDING", 0)
    assert submission.prepare(other)


def test_a_file_that_is_being_verified_is_waited_for_half_a_second():
    job, since = with_upload(status="verifying"), now()
    assert submission.prepare(job) is None
    assert (reread(job).status, job.attempts.count()) == ("PENDING", 0)
    assert is_in(job.due_at, 0.5, since=since)


def test_a_file_that_others_verify_holds_nobody_up():
    with_upload(status="verifying")
    assert sending()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "rejected", "problem": "No video."}, "No video."),
        ({"status": "uploading"}, "not complete yet"),
    ],
)
def test_a_file_that_is_not_ready_fails_the_job_with_the_reason(changes, words):
    job = with_upload(**changes)
    assert submission.prepare(job) is None
    assert (reread(job).status, job.error_code) == ("FAILED", "input_unavailable")
    assert words in job.error_message


def test_a_missing_key_of_no_name_is_named_too(settings):
    settings.RUNPOD_KEYS = {}
    job = make_job()
    assert submission.prepare(job) is None
    assert reread(job).error_code == "no_runpod_key"
    assert "not set RUNPOD_API_KEY for" in job.error_message


@pytest.mark.parametrize(("over", "is_sent"), [(0, True), (1, False)])
def test_runpods_limit_is_of_the_whole_body_to_the_byte(over, is_sent):
    endpoint = make_endpoint(contract="plain")
    small = sending(endpoint=endpoint, input={"text": ""})
    size = len(run_body(small.input, small.policy, small.webhook))
    text = "x" * (RUN_MAX_BYTES - size + over)
    job = make_job(endpoint=endpoint, input={"text": text})
    assert bool(submission.prepare(job)) == is_sent


def test_runpods_limit_is_of_what_letters_become_on_the_way():
    job = make_job(input={"text": "é" * (RUN_MAX_BYTES // 3)})
    assert submission.prepare(job) is None
    assert reread(job).error_code == "too_large"


def test_a_bucket_that_is_away_is_tried_again_in_half_a_minute(settings, s3):
    job, since = with_upload(store="s3"), now()
    settings.S3_BUCKET = ""
    assert submission.prepare(job) is None
    assert is_in(reread(job).due_at, 30, since=since)


# --- the doorbell ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "base"), [(make_endpoint, "https://public"), (make_local, "http://inside")]
)
def test_the_doorbell_is_where_the_backend_can_reach_it(settings, make, base):
    settings.PUBLIC_URL, settings.INTERNAL_URL = "https://public", "http://inside"
    sent = sending(endpoint=make())
    address, _, secret = sent.webhook.rpartition("/")
    assert address == f"{base}/hooks/runpod"
    assert links.read(links.DOORBELL, secret) == sent.attempt.pk.hex


def test_the_doorbell_can_be_rung_as_long_as_the_job_lives(monkeypatch):
    sent = sending()
    secret = sent.webhook.rpartition("/")[2]
    end = time.time() + sent.policy["ttl"] / 1000
    with monkeypatch.context() as later:
        later.setattr("jobs.lib.links.time.time", lambda: end - 600)
        assert links.read(links.DOORBELL, secret)
        later.setattr("jobs.lib.links.time.time", lambda: end + 600)
        with pytest.raises(LinkRefused):
            links.read(links.DOORBELL, secret)


# --- answers -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("outcome", "pause"),
    [
        (Busy("429", retry_after=None), 5),
        (Busy("429", retry_after=44.0), 44),
        (NotSent("refused"), 3),
        (EndpointNotFound("404"), 7),
        (JobNotFound("404"), 7),
        (Refused("key", status=401), 30),
    ],
)
def test_a_job_that_was_not_taken_is_sent_again_after_a_pause(outcome, pause):
    sent, since = sending(), now()
    submission.heard(sent, outcome)
    job = reread(sent.job)
    assert (job.status, job.attempts.count()) == ("PENDING", 0)
    assert is_in(job.due_at, pause, since=since)


@pytest.mark.parametrize(
    ("outcome", "count"),
    [(EndpointNotFound("404"), 1), (JobNotFound("404"), 1), (NotSent("refused"), 0)],
)
def test_any_404_to_run_is_about_the_endpoint(outcome, count):
    sent = sending()
    submission.heard(sent, outcome)
    assert reread(sent.job.endpoint).not_found_count == count


def test_a_job_of_an_endpoint_that_has_gone_is_cancelled_by_that():
    gone = make_endpoint(not_found_count=2, unreachable_at=ago(21))
    sent = sending(endpoint=gone)
    submission.heard(sent, EndpointNotFound("404"))
    event = sent.job.events.last()
    assert (event.new_status, event.note) == ("CANCELLED", "endpoint_not_found")
    assert (event.actor, sent.job.attempts.count()) == ("sync", 0)


def test_an_acceptance_begins_to_count_404s_anew():
    sent = sending(not_found_count=2, not_found_since=ago(60))
    submission.heard(sent, RemoteJob("i" * 200, "W" * 99))
    job, attempt = reread(sent.job), reread(sent.attempt)
    assert (job.status, job.not_found_count, job.not_found_since) == (
        "IN_QUEUE",
        0,
        None,
    )
    assert (attempt.runpod_id, attempt.raw_status) == ("i" * 128, "W" * 40)


def test_no_answer_is_kept_as_the_reason_of_the_doubt():
    sent = sending()
    submission.heard(sent, NoAnswer("the line was cut"))
    assert reread(sent.job).status == "UNCONFIRMED"
    assert reread(sent.attempt).raw_error == "the line was cut"
    assert sent.job.events.last().actor == "submitter"


def test_a_refusal_ends_the_attempt_with_its_words():
    sent = sending()
    submission.heard(sent, Refused("n" * 3000, status=400))
    job, attempt = reread(sent.job), reread(sent.attempt)
    assert (job.error_code, job.error_message) == ("refused", "n" * 2000)
    assert (attempt.raw_error, bool(attempt.ended_at)) == ("n" * 2000, True)


@pytest.mark.parametrize(
    "outcome", [ACCEPTED, NoAnswer("cut"), Refused("no", status=400)]
)
def test_an_answer_is_about_one_attempt(outcome):
    other = sending().attempt
    submission.heard(sending(), outcome)
    assert (reread(other).runpod_id, other.raw_error, other.ended_at) == ("", "", None)


# --- answers that come late --------------------------------------------------------------
def test_an_id_that_comes_late_is_the_proof_that_is_looked_for():
    sent = sending()
    Job.objects.update(status="UNCONFIRMED")
    submission.heard(sent, ACCEPTED)
    assert reread(sent.job).status == "UNCONFIRMED"
    assert reread(sent.attempt).runpod_id == "job-u1"


@pytest.mark.parametrize(
    "outcome", [Busy("429", retry_after=None), NotSent("refused"), NoAnswer("cut")]
)
def test_a_job_that_has_moved_on_meanwhile_keeps_its_attempt(outcome):
    sent = sending()
    Job.objects.update(status="FINALIZING", due_at=now() + timedelta(hours=1))
    submission.heard(sent, outcome)
    assert (reread(sent.job).status, sent.job.attempts.count()) == ("FINALIZING", 1)
