"""What the loop finds due."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.models import Attempt, Job
from jobs.runpod import RemoteJob
from jobs.runpod.errors import Busy, JobNotFound, NoAnswer
from jobs.services.lifecycle import attempts, tracking
from tests.factories import make_endpoint, make_job

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def endpoint():
    return make_endpoint(contract="plain")


def due_jobs(endpoint, limit=10, busy=()):
    return [poll.job_id for poll in tracking.due_polls(endpoint, limit, busy)]


def test_the_most_overdue_jobs_are_asked_about_first(endpoint):
    ago = [timedelta(seconds=n) for n in (1, 9, 5)]
    rows = [
        make_job("IN_PROGRESS", endpoint=endpoint, due_at=now() - t, runpod_id=f"j{t}")
        for t in ago
    ]
    assert due_jobs(endpoint, limit=2) == [rows[1].pk, rows[2].pk]
    assert due_jobs(endpoint, busy=[rows[1].pk]) == [rows[2].pk, rows[0].pk]


@pytest.mark.parametrize(
    ("status", "is_asked"),
    [
        ("PENDING", False),
        ("SUBMITTING", False),
        ("UNCONFIRMED", True),
        ("IN_QUEUE", True),
        ("IN_PROGRESS", True),
        ("FINALIZING", False),
    ],
)
def test_only_jobs_that_runpod_may_have_are_asked_about(endpoint, status, is_asked):
    make_job(status, endpoint=endpoint)
    assert bool(due_jobs(endpoint)) == is_asked


def test_a_job_without_a_known_id_is_a_step_and_not_a_question(endpoint):
    job = make_job("UNCONFIRMED", endpoint=endpoint, runpod_id="")
    known = make_job("UNCONFIRMED", endpoint=endpoint, runpod_id="known")
    assert due_jobs(endpoint) == [known.pk]
    assert tracking.due_steps([]) == [(job.pk, 0)]
    assert tracking.due_steps([job.pk]) == []


def test_only_the_current_attempt_is_asked_about(endpoint):
    job = make_job("IN_QUEUE", endpoint=endpoint, attempt_no=2, runpod_id="new")
    Attempt.objects.create(job=job, number=1, runpod_id="old")
    assert [poll.runpod_id for poll in tracking.due_polls(endpoint, 9, ())] == ["new"]


def test_a_doorbell_that_rings_during_the_question_is_not_lost(endpoint):
    job = make_job("IN_PROGRESS", endpoint=endpoint)
    quiet = make_job("IN_PROGRESS", endpoint=endpoint, runpod_id="quiet")
    polls = tracking.due_polls(endpoint, 9, ())
    attempts.ring({job.attempts.get().pk: lambda: ""})
    tracking.look_again({(polls[0].read_at, 30.0): [job.pk, quiet.pk]})
    assert due_jobs(endpoint) == [job.pk]


def test_a_ring_moves_a_job_to_now_and_is_remembered(endpoint):
    later = now() + timedelta(seconds=30)
    job = make_job("IN_QUEUE", endpoint=endpoint, due_at=later)
    assert due_jobs(endpoint) == []
    attempts.ring({job.attempts.get().pk: lambda: ""})
    (poll,) = tracking.due_polls(endpoint, 9, ())
    assert poll.rung_at
    Job.objects.filter(pk=job.pk).update(status="COMPLETED", due_at=None)
    assert tracking.recently_rung(endpoint, 9) == [True]


def test_a_ring_gives_an_id_only_where_none_is_known(endpoint):
    job = make_job("UNCONFIRMED", endpoint=endpoint, runpod_id="")
    other = make_job("IN_QUEUE", endpoint=endpoint, runpod_id="others")
    attempts.ring({job.attempts.get().pk: lambda: "others"})  # taken: it cannot be ours
    assert job.attempts.get().runpod_id == ""
    attempts.ring({job.attempts.get().pk: lambda: "ours"})
    assert job.attempts.get().runpod_id == "ours"
    attempts.ring({other.attempts.get().pk: lambda: "another"})
    assert other.attempts.get().runpod_id == "others"


def test_the_front_of_the_queue_is_who_was_sent_first(endpoint):
    rows = [
        make_job("IN_QUEUE", endpoint=endpoint, runpod_id=f"j{n}") for n in range(4)
    ]
    assert tracking.front(endpoint, 2) == {rows[0].pk, rows[1].pk}
    later = now() + timedelta(seconds=300)
    Job.objects.update(due_at=later)
    tracking.bring_forward(endpoint, 1, {rows[0].pk}, "IN_QUEUE")
    assert Job.objects.get(pk=rows[0].pk).due_at < later
    assert Job.objects.get(pk=rows[1].pk).due_at == later


def test_the_endpoints_with_work_are_found_in_one_query(
    endpoint, django_assert_num_queries
):
    make_job("COMPLETED", endpoint=make_endpoint("idle"))
    make_job("PENDING", endpoint=endpoint)
    with django_assert_num_queries(1):
        (work,) = tracking.work()
    assert work.endpoint == endpoint
    assert (work.has_held, work.has_remote, work.has_steps) == (True, False, False)


@pytest.mark.parametrize(
    ("outcome", "is_news"),
    [
        (RemoteJob("x", "IN_PROGRESS", worker_id="w"), False),
        (RemoteJob("x", "IN_PROGRESS", worker_id="other"), True),
        (RemoteJob("x", "IN_QUEUE", worker_id="w"), True),
        (RemoteJob("x", "COMPLETED", worker_id="w"), True),
        (RemoteJob("x", "SOMETHING_NEW", worker_id="w"), False),
        (NoAnswer("cut"), False),
        (Busy("429", retry_after=None), False),
        (JobNotFound("404"), True),
    ],
)
def test_only_news_touches_the_database(endpoint, outcome, is_news):
    job = make_job("IN_PROGRESS", endpoint=endpoint)
    job.attempts.update(worker_id="w")
    (poll,) = tracking.due_polls(endpoint, 9, ())
    assert tracking.is_news(poll, outcome, is_new_output=False) == is_news


def test_a_job_that_was_done_before_its_acceptance_was_read_is_asked_about_at_once(
    endpoint,
):
    soon = now() + timedelta(seconds=1)
    rung, other = (
        make_job("IN_QUEUE", endpoint=endpoint, runpod_id=id, due_at=soon)
        for id in ("rung", "other")
    )
    rung.attempts.update(rung_at=now())
    for job in (rung, other):
        tracking.wait_after_submission(job.pk, 40)
        job.refresh_from_db()
    assert rung.due_at <= now()
    assert other.due_at > now() + timedelta(seconds=30)
