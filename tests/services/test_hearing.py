"""What each answer to GET /status writes down, and what it leaves alone."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.models import Alert, Attempt, Endpoint, Job
from jobs.runpod import RemoteJob
from jobs.runpod.errors import Busy, JobNotFound, NoAnswer, NotSent, Refused
from jobs.services.lifecycle import sync
from jobs.states import REMOTE, REMOTE_WORDS
from tests import drive
from tests.factories import make_endpoint, make_job
from tests.fakes import ENDPOINT_NOT_FOUND
from tests.rows import ago, is_in, reread
from tests.services.test_sync import manifest, plain_job

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def hear(job, outcome=None, **fields):
    """Bring the job an answer to a question about its current attempt."""
    remote = RemoteJob("job-u1", **{"status": "IN_PROGRESS", **fields})
    sync.heard(job, job.attempts.get(number=job.attempt_no), outcome or remote)
    return reread(job)


@pytest.mark.parametrize("status", ["PENDING", "SUBMITTING", "FINALIZING", "COMPLETED"])
@pytest.mark.parametrize("word", ["IN_PROGRESS", "FAILED", "CANCELLED"])
def test_a_job_that_runpod_cannot_have_does_not_follow_its_word(status, word):
    job = plain_job(status, attempt_no=1)
    assert hear(job, status=word).status == status
    assert job.attempts.get().raw_status == word


@pytest.mark.parametrize(
    ("word", "status"), [("RUNNING", "IN_PROGRESS"), ("IN_QUEUE", "IN_QUEUE")]
)
def test_an_unconfirmed_job_follows_runpods_word(word, status):
    assert hear(make_job("UNCONFIRMED"), status=word).status == status


def test_a_word_that_comes_after_the_end_changes_nothing():
    job = plain_job()
    Job.objects.update(status="CANCELLED", due_at=None)
    job = hear(job, status="COMPLETED", output={"n": 1}, has_output=True)
    assert (job.status, job.output) == ("CANCELLED", None)


@pytest.mark.parametrize(
    "error",
    [
        NoAnswer("cut"),
        NotSent("refused"),
        Busy("429", retry_after=None),
        Refused("bad", status=400),
    ],
)
def test_no_trouble_of_asking_ends_or_moves_a_job(error):
    job = hear(make_job("IN_PROGRESS"), error)
    assert (job.status, job.revision, job.not_found_count) == ("IN_PROGRESS", 0, 0)
    assert not Alert.objects.exists()


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "key_refused"), (403, "key_refused"), (402, "payment_required")],
)
def test_a_refusal_that_the_operator_can_mend_alerts(status, code):
    job = hear(make_job("IN_PROGRESS"), Refused("no", status=status))
    assert job.status == "IN_PROGRESS"
    assert Alert.objects.get(endpoint=job.endpoint).code == code


def test_a_404_of_the_endpoint_counts_for_the_endpoint_too(runpod):
    runpod.status_answer = ENDPOINT_NOT_FOUND
    job = drive.look(make_job("IN_PROGRESS"), runpod.client())
    assert (job.not_found_count, Endpoint.objects.get().not_found_count) == (1, 1)


def test_a_404_of_a_job_says_nothing_of_its_endpoint():
    job = hear(make_job("IN_PROGRESS"), JobNotFound("404"))
    assert (job.not_found_count, Endpoint.objects.get().not_found_count) == (1, 0)


LOST = {"code": "worker_lost", "message": "gone", "retryable": True}


@pytest.mark.parametrize(("error", "status"), [(LOST, "PENDING"), (None, "COMPLETED")])
def test_a_manifest_is_the_last_thing_that_is_heard(error, status):
    job = make_job("IN_PROGRESS", not_found_count=9, not_found_since=ago(99))
    job.attempts.update(manifest=manifest(error=error))
    job = hear(job, JobNotFound("404"))
    assert (job.status, job.not_found_count) == (status, 9)


def test_an_answer_is_about_one_job():
    other = plain_job(runpod_id="other")
    hear(plain_job(), output={"progress": 0.5}, has_output=True)
    hear(plain_job(runpod_id="third"), status="FAILED", error="boom")
    attempt = other.attempts.get()
    assert (attempt.raw_status, attempt.ended_at) == ("", None)
    assert (reread(other).progress, other.status) == ({}, "IN_PROGRESS")


# --- what is remembered of the attempt ---------------------------------------------------
def test_what_runpod_says_of_an_attempt_is_kept():
    job = plain_job()
    hear(
        job,
        status="FAILED",
        error="boom",
        worker_id="w" * 200,
        has_output=True,
        delay_ms=3,
        execution_ms=5,
    )
    attempt = job.attempts.get()
    assert (attempt.raw_status, attempt.raw_error) == ("FAILED", "boom")
    assert (attempt.worker_id, attempt.has_output) == ("w" * 128, True)
    assert (attempt.delay_ms, attempt.execution_ms) == (3, 5)
    assert attempt.ended_at


def test_what_runpod_leaves_out_is_not_forgotten():
    job = plain_job()
    job.attempts.update(worker_id="w", raw_error="odd", has_output=True)
    hear(job, status="D" * 99)
    attempt = job.attempts.get()
    assert (attempt.worker_id, attempt.raw_error) == ("w", "odd")
    assert (attempt.raw_status, attempt.has_output) == ("D" * 40, True)
    assert attempt.ended_at is None


@pytest.mark.parametrize("word", ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"])
def test_an_attempt_ends_with_runpods_word(word):
    job, since = plain_job(), now()
    hear(job, status=word)
    attempt = job.attempts.get()
    assert is_in(attempt.ended_at, 0, since=since)
    assert not attempt.has_output


def test_an_attempt_ends_once():
    job, end = plain_job(), ago(60)
    job.attempts.update(ended_at=end)
    hear(job, status="FAILED", error="boom")
    assert job.attempts.get().ended_at == end


@pytest.mark.parametrize(
    ("error", "kept"),
    [({"a": 1}, '{"a": 1}'), ("x\0", "x�"), ({}, ""), ("y" * 5000, "y" * 4000)],
)
def test_an_error_of_any_form_is_kept_as_text(error, kept):
    job = plain_job()
    hear(job, status="FAILED", error=error)
    assert job.attempts.get().raw_error == kept


# --- when the work began -----------------------------------------------------------------
def test_the_start_of_a_job_never_seen_running_is_what_runpod_says():
    job = plain_job("IN_QUEUE")
    job.attempts.update(created_at=ago(60))
    hear(job, status="COMPLETED", output=1, has_output=True, delay_ms=20_000)
    begun = job.attempts.get().created_at + timedelta(seconds=20)
    assert job.started_at == begun


def test_a_start_is_never_in_the_future():
    job = hear(
        plain_job("IN_QUEUE"), status="COMPLETED", has_output=True, delay_ms=10**9
    )
    assert job.started_at <= job.finished_at


def test_without_a_word_of_it_the_start_stays_unknown():
    job = hear(plain_job("IN_QUEUE"), status="COMPLETED", output=1, has_output=True)
    assert (job.status, job.started_at) == ("COMPLETED", None)


def test_a_start_that_was_seen_stays():
    seen = ago(30)
    job = plain_job(started_at=seen)
    hear(job, status="COMPLETED", output=1, has_output=True, delay_ms=1)
    assert job.started_at == seen


def test_the_start_is_when_a_worker_was_first_seen():
    since = now()
    job = hear(make_job("IN_QUEUE"))
    begun = job.started_at
    assert is_in(begun, 0, since=since)
    job = hear(hear(job, status="IN_QUEUE"))
    assert (job.status, job.started_at) == ("IN_PROGRESS", begun)


def test_a_job_that_goes_back_to_the_queue_unseen_has_not_begun():
    assert hear(make_job("IN_PROGRESS"), status="IN_QUEUE").started_at is None


# --- progress ----------------------------------------------------------------------------
def test_progress_of_other_peoples_handlers_is_shown_and_numbered():
    job = hear(plain_job(), output={"progress": 0.5}, has_output=True)
    assert (job.progress["fraction"], job.progress_seq, job.revision) == (0.5, 1, 1)
    job = hear(job, output={"progress": 0.6}, has_output=True)
    assert (job.progress["fraction"], job.progress_seq, job.revision) == (0.6, 2, 2)
    assert hear(job, output={"progress": 0.6}, has_output=True).revision == 2


def test_our_own_handler_reports_its_progress_itself():
    job = hear(make_job("IN_PROGRESS"), output={"progress": 0.5}, has_output=True)
    assert (job.progress, job.progress_seq) == ({}, 0)


def test_an_answer_without_output_is_no_progress():
    assert hear(plain_job()).revision == 0


def test_progress_stops_with_the_job():
    job = plain_job()
    Job.objects.update(status="CANCELLED", due_at=None)
    assert hear(job, output={"progress": 0.5}, has_output=True).progress == {}


# --- who ended it ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "purged_at", "reason"),
    [
        ({}, None, ""),
        ({}, now() + timedelta(days=9), "purged"),
        ({}, now() - timedelta(days=9), ""),
        ({"started_at": now()}, now() + timedelta(days=9), ""),
        ({"cancel_requested_at": now()}, now() + timedelta(days=9), "user"),
    ],
    ids=["nobody", "purged", "purged before", "had begun", "a person"],
)
def test_runpods_cancelled_has_the_reason_that_we_know(fields, purged_at, reason):
    endpoint = make_endpoint(purged_at=purged_at)
    job = hear(make_job("IN_QUEUE", endpoint=endpoint, **fields), status="CANCELLED")
    assert (job.status, job.reason) == ("CANCELLED", reason)


def test_a_time_out_names_the_limit_and_may_be_tried_again():
    endpoint = make_endpoint(execution_timeout_seconds=77)
    job = hear(make_job("IN_PROGRESS", endpoint=endpoint), status="TIMED_OUT")
    assert (job.status, job.error_code) == ("TIMED_OUT", "timed_out")
    assert "77 s" in job.error_message
    assert job.is_error_retryable
    assert job.events.get().actor == "sync"


# --- past every deadline -----------------------------------------------------------------
DAY = 24 * 3600


@pytest.mark.parametrize(("age", "is_over"), [(60, True), (-60, False)])
def test_a_deadline_is_a_day_the_execution_and_an_hour(age, is_over):
    job = make_job("IN_QUEUE", endpoint=make_endpoint(execution_timeout_seconds=500))
    job.attempts.update(created_at=ago(DAY + 500 + 3600 + age))
    sync.time_out_overdue(job.endpoint)
    assert (reread(job).status == "TIMED_OUT") == is_over


def test_a_deadline_is_the_sweepers():
    job = make_job("IN_QUEUE")
    job.attempts.update(created_at=ago(3 * DAY))
    sync.time_out_overdue(job.endpoint)
    assert job.events.get().actor == "sweeper"


def test_only_the_current_attempt_has_a_deadline():
    job = make_job("IN_QUEUE", attempt_no=2)
    Attempt.objects.create(job=job, number=1, created_at=ago(3 * DAY))
    sync.time_out_overdue(job.endpoint)
    assert reread(job).status == "IN_QUEUE"


@pytest.mark.parametrize("status", ["PENDING", "SUBMITTING", "FINALIZING", "COMPLETED"])
def test_what_runpod_cannot_have_has_no_deadline_there(status):
    job = make_job(status, attempt_no=1)
    job.attempts.update(created_at=ago(3 * DAY))
    sync.time_out_overdue(job.endpoint)
    assert reread(job).status == status


def test_another_endpoints_jobs_are_not_timed_out():
    job = make_job("IN_QUEUE")
    job.attempts.update(created_at=ago(3 * DAY))
    sync.time_out_overdue(make_endpoint("other"))
    assert reread(job).status == "IN_QUEUE"


def test_deadlines_are_kept_some_at_a_time(monkeypatch):
    monkeypatch.setattr(sync, "OVERDUE_AT_ONCE", 2)
    for n in range(3):
        job = make_job("IN_QUEUE", runpod_id=f"j{n}")
    Attempt.objects.update(created_at=ago(3 * DAY))
    sync.time_out_overdue(job.endpoint)
    assert Job.objects.filter(status="TIMED_OUT").count() == 2


# --- every word, wherever the job is ----------------------------------------------------
ENDED_AS = {
    "COMPLETED": "COMPLETED",
    "FAILED": "FAILED",
    "CANCELLED": "CANCELLED",
    "TIMED_OUT": "TIMED_OUT",
}


@pytest.mark.parametrize("max_attempts", [1, 3])
@pytest.mark.parametrize("is_cancelling", [False, True])
@pytest.mark.parametrize("word", [*REMOTE_WORDS, "SOMETHING_NEW"])
@pytest.mark.parametrize("status", sorted(REMOTE))
def test_runpods_word_has_a_legal_move_from_wherever_it_may_have_the_job(
    status, word, is_cancelling, max_attempts
):
    endpoint = make_endpoint(contract="plain", max_attempts=max_attempts)
    cancel = {"cancel_requested_at": now()} if is_cancelling else {}
    job = make_job(status, endpoint=endpoint, **cancel)
    error = {"error": "worker lost"} if word in {"FAILED", "TIMED_OUT"} else {}
    job = hear(job, status=word, output={"n": 1}, has_output=True, **error)
    if word not in ENDED_AS:
        assert job.status in REMOTE
    elif is_cancelling and word == "FAILED":
        assert job.status in {"CANCELLED", "FAILED"}
    elif max_attempts > 1 and word == "FAILED":
        assert job.status == "PENDING"
    else:
        assert job.status == ENDED_AS[word]


@pytest.mark.parametrize("status", sorted(REMOTE))
@pytest.mark.parametrize(("max_attempts", "end"), [(1, "FAILED"), (3, "PENDING")])
def test_a_workers_failure_is_tried_again_wherever_its_job_is(
    status, max_attempts, end
):
    job = make_job(status, endpoint=make_endpoint(max_attempts=max_attempts))
    failure = {"code": "worker_error", "message": "CUDA error", "retryable": True}
    job.attempts.update(manifest=manifest(error=failure))
    assert sync.apply_manifest(job)
    assert reread(job).status == end
