"""What is done for one job: sending it, and what its answer leads to."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils.timezone import now

from jobs.models import Alert, Attempt, Endpoint, Job
from jobs.runpod import Health
from jobs.runpod.errors import (
    Busy,
    EndpointNotFound,
    JobNotFound,
    NoAnswer,
    NotSent,
    Refused,
)
from jobs.services.lifecycle import reconcile, submission
from tests.factories import make_job
from tests.loop.polls import due_poll, remote

pytestmark = [pytest.mark.db, pytest.mark.django_db]
FLOOR = 0.85
HOUR = timedelta(hours=1)


def waits(job, seconds, since, slack=0.0):
    """Whether it was said after `since` that the job is looked at in `seconds`."""
    job.refresh_from_db()
    at = job.due_at - timedelta(seconds=seconds)
    return since - timedelta(seconds=slack) <= at <= now()


# --- sending --------------------------------------------------------------------------
def send(loop, job):
    job = Job.objects.select_related("endpoint").get(pk=job.pk)
    loop.state.sends(job.pk)
    loop.do(loop.actions.send, loop.state, job)
    job.refresh_from_db()
    return job


def test_a_job_is_sent_with_its_policy_and_its_doorbell(loop):
    job, before = make_job(), now()
    job = send(loop, job)
    assert (job.status, job.attempts.get().runpod_id) == ("IN_QUEUE", "job-u1")
    ((input, policy, webhook),) = loop.client.runs
    assert input["text"] == "hi"
    assert policy["executionTimeout"] == 3_600_000
    assert webhook.startswith("http://testserver/hooks/runpod/")
    assert waits(job, FLOOR, before)
    assert (loop.state.sending, loop.alerts) == (set(), ["over"])


def test_what_must_not_be_sent_is_not(loop):
    job = send(loop, make_job(cancel_requested_at=now()))
    assert (job.status, loop.client.runs) == ("CANCELLED", [])
    assert (loop.state.sending, loop.alerts) == (set(), [])


def test_a_job_that_ended_before_its_answer_came_is_asked_about_at_once(loop):
    job = make_job()

    def ring():
        Attempt.objects.update(rung_at=now())

    loop.client.meanwhile = ring
    job = send(loop, job)
    assert job.due_at <= now()


def test_the_more_jobs_the_longer_the_first_pause(loop):
    loop.state.pace.learned([True] * 3)
    loop.state.pace.asked_about = 60
    job, before = make_job(), now()
    assert waits(send(loop, job), 30, before)


def test_behind_the_front_it_is_longer_still(loop):
    loop.state.pace.front = set()
    job, before = make_job(), now()
    assert send(loop, job).due_at > before + timedelta(seconds=270)


@pytest.mark.parametrize(
    ("answer", "status", "pause"),
    [
        (Busy("429", retry_after=77), "PENDING", 77),
        (Busy("429", retry_after=None), "PENDING", 5),
        (NotSent("refused"), "PENDING", 3),
        (NoAnswer("cut"), "UNCONFIRMED", 5),
        (Refused("bad body", status=400), "FAILED", None),
        (Refused("no money", status=402), "PENDING", 30),
        (EndpointNotFound("404"), "PENDING", 7),
    ],
)
def test_without_a_good_answer_it_waits_or_ends(answer, status, pause, loop):
    loop.client.answers["run"] = answer
    before = now()
    job = send(loop, make_job())
    assert job.status == status
    assert pause is None or waits(job, pause, before)
    assert loop.state.sending == set()


def test_where_health_answers_a_404_of_run_is_taken_for_a_429(loop):
    loop.state.health = Health(jobs={}, workers={})
    loop.client.answers["run"] = EndpointNotFound("404")
    before = now()
    job = send(loop, make_job())
    assert (job.status, waits(job, 6, before)) == ("PENDING", True)
    assert Endpoint.objects.get().unreachable_at is None
    assert loop.state.run_room() == 0


def test_the_channel_hears_what_came_of_it(loop):
    loop.client.answers["run"] = Refused("strange", status=418)
    send(loop, make_job())
    assert (loop.alerts, loop.state.run_room()) == (["no_answers"], 0)


def test_a_database_error_while_sending_lets_the_job_be_sent_again(loop, monkeypatch):
    def fail(*_):
        raise OperationalError

    monkeypatch.setattr(submission, "prepare", fail)
    with pytest.raises(OperationalError):
        send(loop, make_job())
    assert loop.state.sending == set()


# --- asking ---------------------------------------------------------------------------
def ask(loop, job):
    """Ask as a tick does; return the job and what is to be written down by the next."""
    poll = due_poll(job)
    loop.state.asks(poll.job_id)
    loop.do(loop.actions.ask, loop.state, poll)
    job.refresh_from_db()
    gathered = loop.state.take_unchanged()
    return {pk: pause for (_, pause), pks in gathered.items() for pk in pks}


def test_an_answer_without_news_costs_no_query(loop, django_assert_num_queries):
    job = make_job("IN_QUEUE")
    poll = due_poll(job)
    with django_assert_num_queries(0):
        loop.do(loop.actions.ask, loop.state, poll)
    assert loop.state.take_unchanged() == {(poll.read_at, 0.8): [job.pk]}


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (NoAnswer("cut"), 3.0),
        (NotSent("refused"), 10.1),
        (Busy("429", retry_after=None), 10.1),
    ],
)
def test_without_an_answer_it_is_asked_again_later(answer, pause, loop):
    loop.client.answers["status"] = answer
    job = make_job("IN_PROGRESS")
    assert ask(loop, job) == {job.pk: pause}
    assert job.status == "IN_PROGRESS"
    assert job.pk in loop.state.asking  # until that is written down


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (JobNotFound("404"), 10.1),
        (EndpointNotFound("404"), 10.1),
        (Refused("no", status=401), 10.1),
    ],
)
def test_a_bad_answer_that_is_news_is_written_down_and_followed_up(answer, pause, loop):
    loop.client.answers["status"] = answer
    job = make_job("IN_PROGRESS")
    assert ask(loop, job) == {job.pk: pause}
    assert (job.status, job.unfinished_steps) == ("IN_PROGRESS", 0)
    is_404 = not isinstance(answer, Refused)
    assert job.not_found_count == is_404
    assert (Endpoint.objects.get().unreachable_at is not None) is isinstance(
        answer, EndpointNotFound
    )
    assert Alert.objects.count() == isinstance(answer, Refused)


def test_three_404s_over_twenty_seconds_end_it(loop):
    loop.client.answers["status"] = JobNotFound("404")
    long_ago = now() - timedelta(seconds=21)
    job = make_job("IN_QUEUE", not_found_count=2, not_found_since=long_ago)
    assert ask(loop, job) == {}
    assert (job.status, job.reason) == ("CANCELLED", "not_found")


def test_where_health_answers_a_404_of_status_is_no_answer(loop):
    loop.state.health = Health(jobs={}, workers={})
    loop.client.answers["status"] = EndpointNotFound("404")
    job = make_job("IN_PROGRESS")
    assert ask(loop, job) == {job.pk: 3.0}
    assert Endpoint.objects.get().unreachable_at is None


def test_a_move_is_written_down_with_the_next_look(loop):
    loop.state.pace.learned([False] * 3)
    loop.client.answers["status"] = remote("IN_PROGRESS")
    job, before = make_job("IN_QUEUE", due_at=now()), now()
    assert ask(loop, job) == {}
    assert (job.status, waits(job, FLOOR, before)) == ("IN_PROGRESS", True)
    assert job.pk not in loop.state.asking


def test_a_doorbell_that_rang_since_the_question_asks_again_at_once(loop):
    def ring():
        Attempt.objects.update(rung_at=now())

    loop.client.meanwhile = ring
    loop.client.answers["status"] = remote("IN_PROGRESS")
    job = make_job("IN_QUEUE")
    assert ask(loop, job) == {}
    assert (job.status, job.due_at <= now()) == ("IN_PROGRESS", True)


def test_one_that_rang_before_the_question_has_been_answered_by_it(loop):
    job = make_job("IN_QUEUE")
    job.attempts.update(rung_at=now())
    loop.client.answers["status"] = remote("IN_PROGRESS")
    before = now()
    ask(loop, job)
    assert waits(job, FLOOR, before)


def test_other_progress_is_news_the_same_is_not(loop):
    job = make_job("IN_PROGRESS")
    loop.client.answers["status"] = remote(
        "IN_PROGRESS", output={"n": 1}, has_output=True
    )
    assert ask(loop, job) == {job.pk: 0.8}
    seq = job.progress_seq
    assert seq > 0
    ask(loop, job)
    assert job.progress_seq == seq


def test_an_end_is_written_down_and_forgotten(loop):
    job = make_job("IN_PROGRESS")
    running = remote("IN_PROGRESS", output=1, has_output=True)
    loop.client.answers["status"] = running
    ask(loop, job)
    poll = due_poll(job)
    loop.client.answers["status"] = remote("COMPLETED", output=1, has_output=True)
    assert ask(loop, job) == {}
    assert (job.status, job.output) == ("COMPLETED", 1)
    assert job.pk not in loop.state.asking
    assert loop.state.is_new_output(poll, running)


def test_ends_tell_the_channel_whether_the_doorbell_rang(loop):
    loop.client.answers["status"] = remote("FAILED", error="boom")
    for n in range(3):
        job = make_job("IN_PROGRESS", runpod_id=f"j{n}")
        job.attempts.update(rung_at=now() - HOUR)
        ask(loop, job)
    loop.clock.now += 2
    loop.state.look()
    assert loop.state.pace.webhooks is True


@pytest.mark.parametrize("fields", [{"status": "COMPLETED"}, {"attempt_no": 2}])
def test_an_answer_that_comes_too_late_changes_nothing(fields, loop):
    loop.client.answers["status"] = remote("FAILED", error="boom")
    job = make_job("IN_PROGRESS")

    def be_overtaken():
        due_at = None if "status" in fields else now()
        Job.objects.update(due_at=due_at, **fields)

    loop.client.meanwhile = be_overtaken
    ask(loop, job)
    assert job.status == fields.get("status", "IN_PROGRESS")
    assert Attempt.objects.get().raw_status == ""


def test_an_error_while_hearing_lets_the_job_be_asked_again(loop, monkeypatch):
    def fail(_):
        raise OperationalError

    monkeypatch.setattr(reconcile, "begin_step", fail)
    loop.client.answers["status"] = remote("COMPLETED")
    job = make_job("IN_QUEUE")
    with pytest.raises(OperationalError):
        ask(loop, job)
    assert loop.state.asking == set()


def test_the_channel_hears_of_it_and_the_operator(loop):
    loop.client.answers["status"] = Refused("strange", status=418)
    job = make_job("IN_PROGRESS")
    ask(loop, job)
    assert (loop.alerts, loop.state.status_room()) == (["no_answers"], 0)


# --- health ---------------------------------------------------------------------------
def ask_health(loop, answer):
    loop.client.answers["health"] = answer
    loop.do(loop.actions.ask_health, loop.state)
    return loop.state.health, loop.state.is_health_known


def test_health_is_what_was_heard_last(loop):
    well = Health(jobs={}, workers={"idle": 1})
    assert ask_health(loop, Busy("429", retry_after=None)) == (None, False)
    assert ask_health(loop, well) == (well, True)
    assert ask_health(loop, Busy("429", retry_after=None)) == (well, True)
    assert ask_health(loop, EndpointNotFound("404")) == (None, True)


def test_a_health_that_fails_is_known_to_fail(loop):
    assert ask_health(loop, NoAnswer("cut")) == (None, True)


def test_an_endpoint_that_is_left_alone_is_not_asked_for_its_health(loop):
    loop.state.breaker.failed(at_once=True)
    well = Health(jobs={}, workers={})
    assert ask_health(loop, well) == (None, False)
