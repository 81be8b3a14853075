"""What the loop reads and sets: which work there is, who is asked, and when again."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.models import Attempt
from jobs.runpod import RemoteJob
from jobs.runpod.errors import EndpointNotFound, NotSent, Refused
from jobs.services.lifecycle import tracking
from tests.factories import make_endpoint, make_job
from tests.rows import ago, is_in, reread

pytestmark = [pytest.mark.db, pytest.mark.django_db]
HOUR = timedelta(hours=1)


@pytest.fixture
def endpoint():
    return make_endpoint(contract="plain")


def sent(endpoint, count, status="IN_QUEUE", **fields):
    """Return `count` jobs that the backend has, in the order in which they were sent."""
    return [
        make_job(status, endpoint=endpoint, runpod_id=f"{status}-{n}", **fields)
        for n in range(count)
    ]


# --- work --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "held", "remote", "steps"),
    [
        ("PENDING", True, False, False),
        ("SUBMITTING", False, False, True),
        ("UNCONFIRMED", False, True, True),
        ("IN_QUEUE", False, True, False),
        ("IN_PROGRESS", False, True, False),
        ("FINALIZING", False, False, True),
    ],
)
def test_work_is_of_three_kinds(endpoint, status, held, remote, steps):
    make_job(status, endpoint=endpoint)
    make_endpoint("idle")
    (work,) = tracking.work()
    assert work == tracking.Work(endpoint, held, remote, steps)


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"])
def test_where_all_jobs_have_ended_is_no_work(endpoint, status):
    make_job(status, endpoint=endpoint)
    assert tracking.work() == []


def test_work_of_one_endpoint_is_not_anothers(endpoint):
    other = make_endpoint("other")
    make_job("PENDING", endpoint=endpoint)
    make_job("FINALIZING", endpoint=other)
    kinds = {work.endpoint: (work.has_held, work.has_steps) for work in tracking.work()}
    assert kinds == {endpoint: (True, False), other: (False, True)}


# --- steps -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "runpod_id", "is_step"),
    [
        ("PENDING", "", False),
        ("SUBMITTING", "known", True),
        ("UNCONFIRMED", "known", False),
        ("UNCONFIRMED", "", True),
        ("IN_QUEUE", "", False),
        ("FINALIZING", "known", True),
    ],
)
def test_a_step_is_due_where_nobody_need_be_asked(endpoint, status, runpod_id, is_step):
    fields = {"endpoint": endpoint, "runpod_id": runpod_id, "due_at": ago(1)}
    job = make_job(status, unfinished_steps=2, **fields)
    make_job(status, **{**fields, "due_at": now() + HOUR})
    assert tracking.due_steps([]) == ([(job.pk, 2)] if is_step else [])


def test_the_id_of_an_earlier_attempt_proves_nothing_for_the_current_one(endpoint):
    job = make_job("UNCONFIRMED", endpoint=endpoint, attempt_no=2, runpod_id="")
    Attempt.objects.create(job=job, number=1, runpod_id="old")
    assert tracking.due_steps([]) == [(job.pk, 0)]


def test_the_most_overdue_step_comes_first_and_a_hundred_at_once(endpoint):
    rows = [
        make_job("FINALIZING", endpoint=endpoint, due_at=ago(n), runpod_id=f"j{n}")
        for n in range(101)
    ]
    steps = tracking.due_steps([])
    assert (steps[0], len(steps)) == ((rows[-1].pk, 0), 100)


# --- questions ---------------------------------------------------------------------------
def test_a_question_carries_what_deciding_about_it_needs(endpoint):
    began, since = ago(60), now()
    fields = {"unfinished_steps": 1, "not_found_count": 2, "started_at": began}
    job = make_job(
        "IN_PROGRESS", endpoint=endpoint, cancel_requested_at=began, **fields
    )
    job.attempts.update(worker_id="w", rung_at=began)
    (poll,) = tracking.due_polls(endpoint, 9, ())
    attempt = job.attempts.get()
    assert (poll.job_id, poll.attempt_id) == (job.pk, attempt.pk)
    assert (poll.runpod_id, poll.status) == ("job-u1", "IN_PROGRESS")
    assert (poll.unfinished_steps, poll.not_found_count, poll.worker_id) == (1, 2, "w")
    assert (poll.submitted_at, poll.started_at) == (attempt.created_at, began)
    assert (poll.cancel_requested_at, poll.rung_at) == (began, began)
    assert is_in(poll.read_at, 0, since=since)


def test_nobody_is_asked_before_it_is_time_or_at_another_endpoint(endpoint):
    sent(endpoint, 1, due_at=now() + HOUR)
    sent(make_endpoint("other"), 1, status="IN_PROGRESS")
    assert tracking.due_polls(endpoint, 9, ()) == []


@pytest.mark.parametrize(
    ("outcome", "is_news"),
    [
        (EndpointNotFound("404"), True),
        (Refused("no", status=400), True),
        (NotSent("x"), False),
    ],
)
def test_of_troubles_only_those_that_are_written_down_are_news(
    endpoint, outcome, is_news
):
    sent(endpoint, 1)
    (poll,) = tracking.due_polls(endpoint, 9, ())
    assert tracking.is_news(poll, outcome, is_new_output=False) == is_news


@pytest.mark.parametrize(
    ("known", "answered", "count", "is_new_output", "is_news"),
    [
        ("", "", 0, False, False),
        ("", "", 0, True, True),
        ("", "", 1, False, True),
        ("w" * 128, "w" * 200, 0, False, False),
        ("v", "w", 0, False, True),
    ],
)
def test_the_same_word_again_is_news_where_something_else_is_new(
    endpoint, known, answered, count, is_new_output, is_news
):
    job = make_job("IN_QUEUE", endpoint=endpoint, not_found_count=count)
    job.attempts.update(worker_id=known)
    (poll,) = tracking.due_polls(endpoint, 9, ())
    answer = RemoteJob("job-u1", "IN_QUEUE", worker_id=answered)
    assert tracking.is_news(poll, answer, is_new_output=is_new_output) == is_news


def test_the_backends_jobs_are_counted_by_status(endpoint):
    sent(endpoint, 2)
    sent(endpoint, 1, status="IN_PROGRESS")
    sent(make_endpoint("other"), 1)
    for status in ("PENDING", "SUBMITTING", "UNCONFIRMED", "FINALIZING", "FAILED"):
        make_job(status, endpoint=endpoint)
    assert tracking.counts(endpoint) == {
        "IN_QUEUE": 2,
        "IN_PROGRESS": 1,
        "SUBMITTING": 1,
        "UNCONFIRMED": 1,
    }


# --- the front of the queue --------------------------------------------------------------
def test_in_front_are_those_whose_current_attempt_was_sent_first(endpoint):
    again, first = sent(endpoint, 2)
    Attempt.objects.create(job=again, number=2, runpod_id="again")
    type(again).objects.filter(pk=again.pk).update(attempt_no=2)
    sent(endpoint, 1, status="IN_PROGRESS")
    sent(make_endpoint("other"), 1)
    assert tracking.front(endpoint, 1) == {first.pk}
    assert tracking.front(endpoint, 9) == {first.pk, again.pk}


def test_a_job_that_was_tried_before_loses_no_place(endpoint):
    """What was sent or due first comes first, whichever attempt it is."""
    fields = {"endpoint": endpoint, "status": "IN_QUEUE"}
    first = make_job(**fields, attempt_no=2, runpod_id="a", due_at=ago(9))
    second = make_job(**fields, attempt_no=1, runpod_id="b", due_at=ago(5))
    assert tracking.front(endpoint, 1) == {first.pk}
    polls = tracking.due_polls(endpoint, 9, ())
    assert [poll.job_id for poll in polls] == [first.pk, second.pk]


# --- when to look again ------------------------------------------------------------------
def due(rows):
    return [reread(job).due_at for job in rows]


def test_all_that_the_backend_has_is_brought_forward_but_nothing_is_put_off(endpoint):
    later, soon, since = now() + HOUR, now(), now()
    rows = [
        *sent(endpoint, 2, due_at=later),
        *sent(endpoint, 1, "IN_PROGRESS", due_at=later),
    ]
    early = sent(endpoint, 1, "UNCONFIRMED", due_at=soon)
    held = sent(endpoint, 1, "PENDING", due_at=later)
    elsewhere = sent(make_endpoint("other"), 1, due_at=later)
    tracking.bring_forward(endpoint, 7)
    assert all(is_in(at, 7, since=since) for at in due(rows))
    assert due([*early, *held, *elsewhere]) == [soon, later, later]


def test_one_status_alone_is_brought_forward(endpoint):
    later = now() + HOUR
    waiting = sent(endpoint, 1, due_at=later)
    running = sent(endpoint, 1, "IN_PROGRESS", due_at=later)
    tracking.bring_forward(endpoint, 7, None, "IN_PROGRESS")
    assert due(waiting) == [later] != due(running)


def test_nobody_is_brought_forward_where_nobody_is_named(endpoint):
    later = now() + HOUR
    rows = sent(endpoint, 1, due_at=later)
    tracking.bring_forward(endpoint, 7, set())
    assert due(rows) == [later]


def test_a_look_comes_again_after_its_pause(endpoint):
    rows, other = sent(endpoint, 2), sent(endpoint, 1, "IN_PROGRESS", due_at=ago(5))
    ended = make_job("FINALIZING", endpoint=endpoint, due_at=ago(5))
    since = now()
    tracking.look_again({(since, 9.0): [job.pk for job in (*rows, ended)]})
    assert all(is_in(at, 9, since=since) for at in due(rows))
    assert all(at < since for at in due([*other, ended]))


@pytest.mark.parametrize(
    "wait", [tracking.wait_after_move, tracking.wait_after_submission]
)
def test_the_first_look_after_a_move_comes_after_its_pause(endpoint, wait):
    soon, since = now() + timedelta(seconds=60), now()
    (job, other) = sent(endpoint, 2, due_at=soon)
    wait(job.pk, 30)
    assert is_in(reread(job).due_at, 30, since=since)
    assert reread(other).due_at == soon


@pytest.mark.parametrize(
    "wait", [tracking.wait_after_move, tracking.wait_after_submission]
)
@pytest.mark.parametrize(("status", "due_in"), [("IN_QUEUE", -5), ("FINALIZING", 60)])
def test_a_look_that_is_due_or_not_at_the_backend_stays(endpoint, wait, status, due_in):
    at = now() + timedelta(seconds=due_in)
    job = make_job(status, endpoint=endpoint, due_at=at)
    wait(job.pk, 30)
    assert reread(job).due_at == at


def test_a_ring_for_an_earlier_attempt_hurries_nobody(endpoint):
    job = make_job("IN_QUEUE", endpoint=endpoint, attempt_no=2, due_at=now() + HOUR)
    Attempt.objects.create(job=job, number=1, rung_at=now())
    since = now()
    tracking.wait_after_submission(job.pk, 30)
    assert is_in(reread(job).due_at, 30, since=since)


# --- whether the doorbell works ----------------------------------------------------------
def ended(endpoint, *rings, **changes):
    """Let one job end after another; `rings` says for which the doorbell rang."""
    for has_rung in rings:
        job = make_job("COMPLETED", endpoint=endpoint)
        job.attempts.update(rung_at=now() if has_rung else None, **changes)


def test_the_last_ends_say_whether_the_doorbell_rings(endpoint):
    ended(endpoint, True, True, False, True)
    ended(make_endpoint("other"), False)
    assert tracking.recently_rung(endpoint, 2) == [False, True]
    assert tracking.recently_rung(endpoint, 9) == [True, True, False, True]


def test_ends_that_no_doorbell_had_to_tell_do_not_count(endpoint):
    ended(endpoint, False, manifest={})
    ended(endpoint, False, runpod_id="")
    sent(endpoint, 1)
    assert tracking.recently_rung(endpoint, 9) == []


def test_rings_of_attempts_are_told_oldest_first(endpoint):
    for number, has_rung in ((3, True), (2, False), (1, False)):
        job = make_job("COMPLETED", endpoint=endpoint, attempt_no=number)
        job.attempts.update(rung_at=now() if has_rung else None)
    pks = [attempt.pk for attempt in Attempt.objects.order_by("-pk")]
    assert tracking.were_rung(pks) == [True, False, False]
    assert tracking.were_rung(pks[:2]) == [False, False]
