"""What a state does once a second: count, find who may run, judge the doorbell."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.models import Attempt, Job
from jobs.runpod import Health
from jobs.services.lifecycle import tracking
from jobs.shifts.loop.endpoint_state import EndpointState
from jobs.shifts.loop.pace import Pace
from tests.factories import make_endpoint, make_job

pytestmark = [pytest.mark.db, pytest.mark.django_db]
FLOOR = 0.85


def make_state(clock, rung=(), **fields):
    fields = {"contract": "plain", **fields}
    return EndpointState(make_endpoint(**fields), Pace(list(rung), 0), clock)


def health(**jobs):
    return Health(jobs=jobs, workers={})


def sleeping(status="IN_QUEUE", **fields):
    return make_job(status, due_at=now() + timedelta(hours=1), **fields)


def sleeps(job, seconds, since):
    """Whether it was said after `since` that the loop looks at a job in `seconds`."""
    job.refresh_from_db()
    return since <= job.due_at - timedelta(seconds=seconds) <= now()


def is_asleep(job):
    job.refresh_from_db()
    return job.due_at > now() + timedelta(minutes=30)


def test_a_look_is_due_each_second(settings, clock):
    state = make_state(clock)
    assert state.look_due()
    state.look()
    assert not state.look_due()
    clock.now += 1
    assert state.look_due()
    settings.JOBS_HEALTH_PAUSE_SECONDS = 5.0
    assert not state.look_due()


# --- who may be running ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("jobs", "running", "waiting", "starting"),
    [
        ({"inProgress": 50, "inQueue": 4950}, 48, 4952, 2 + 5),
        ({"inProgress": 60, "inQueue": 100}, 40, 100, 20 + 6),  # free slots
        ({"inProgress": 100, "inQueue": 500}, 100, 500, 0 + 10),
        ({"inProgress": 10, "inQueue": 500}, 50, 500, 0 + 5),
        ({"inProgress": 0, "inQueue": 10}, 0, 30, 20 + 5),  # they ended unseen
        ({"inProgress": 0, "inQueue": 0}, 0, 13, None),
        ({}, 0, 13, None),
        (None, 0, 40, None),  # no /health: anybody may have started
        ({"inProgress": 5, "inQueue": 5}, 5, 5, None),
        ({"inProgress": 5, "inQueue": 6}, 5, 6, 5),
    ],
)
def test_as_many_waiting_jobs_are_asked_as_may_have_started(
    jobs, running, waiting, starting, clock, monkeypatch
):
    counts = {"IN_PROGRESS": running, "IN_QUEUE": waiting, "SUBMITTING": 3}
    monkeypatch.setattr(tracking, "counts", lambda _: counts)
    monkeypatch.setattr(tracking, "front", lambda _, count: set(range(count)))
    state = make_state(clock)
    state.health = None if jobs is None else Health(jobs=jobs, workers={})
    state.look()
    front = None if starting is None else set(range(starting))
    assert state.pace.front == front
    assert state.pace.asked_about == running + min(waiting, starting or waiting)


def test_the_oldest_waiting_jobs_are_in_front(clock):
    state = make_state(clock)
    jobs = [make_job("IN_QUEUE") for _ in range(7)]
    make_job("IN_QUEUE", endpoint=make_endpoint("other"))
    state.health = health(inQueue=7)
    state.look()
    assert state.pace.front == {job.pk for job in jobs[:5]}


# --- long pauses are cut short --------------------------------------------------------
def test_jobs_that_come_to_the_front_are_asked_about_soon(clock):
    state = make_state(clock, [False] * 3)
    jobs = [sleeping() for _ in range(7)] + [sleeping("IN_PROGRESS")]
    state.health, state.is_health_known = health(inQueue=7), True
    before = now()
    state.look()
    assert all(sleeps(job, FLOOR + 0.2, before) for job in jobs[:5])
    assert all(is_asleep(job) for job in jobs[5:])


def test_where_webhooks_arrive_the_front_is_asked_less_soon(clock):
    state = make_state(clock, [True] * 3)
    jobs = [sleeping() for _ in range(8)]
    state.health, state.is_health_known = health(inQueue=0), True
    before = now()
    state.look()
    assert all(sleeps(job, 4 + 0.2, before) for job in jobs)


def test_before_health_was_asked_nobody_is_hurried(clock):
    state, job = make_state(clock, [False] * 3), sleeping()
    state.look()
    assert is_asleep(job)


def test_when_webhooks_turn_out_not_to_arrive_running_jobs_are_asked_at_once(clock):
    state = make_state(clock)
    job, waiting = sleeping("IN_PROGRESS"), sleeping()
    state.is_health_known = True
    state.look()
    assert (is_asleep(job), is_asleep(waiting)) == (True, False)
    state.pace.learned([False] * 3)
    before = now()
    state.look()
    assert sleeps(job, FLOOR, before)
    later = sleeping("IN_PROGRESS")
    state.look()
    assert is_asleep(later)  # chosen when it was known already


# --- does the doorbell ring? ----------------------------------------------------------
def ended(state, rung):
    for is_rung in rung:
        rung_at = now() if is_rung else None
        job = make_job("COMPLETED")
        job.attempts.update(rung_at=rung_at)
        state.learned_end(job.attempts.get().pk)


@pytest.mark.parametrize(
    ("rung", "webhooks"),
    [
        ([True] * 3, True),
        ([False] * 3, False),
        ([True, False, False], False),
        ([True] * 2, None),
    ],
)
def test_ends_tell_whether_webhooks_arrive(rung, webhooks, clock):
    state = make_state(clock)
    ended(state, rung)
    clock.now += 1.9
    state.look()
    assert state.pace.webhooks is None  # it may still ring
    clock.now += 0.2
    state.look()
    state.look()
    assert state.pace.webhooks is webhooks


def test_a_doorbell_that_rings_a_little_late_has_rung(clock):
    state = make_state(clock)
    ended(state, [False] * 3)
    state.look()
    Attempt.objects.update(rung_at=now())
    clock.now += 2
    state.look()
    assert state.pace.webhooks is True


def test_whoever_has_just_ended_is_judged_later(clock):
    state = make_state(clock)
    ended(state, [True] * 2)
    clock.now += 2
    ended(state, [False] * 4)
    state.look()
    assert state.pace.webhooks is None
    clock.now += 2
    state.look()
    assert state.pace.webhooks is False


def look_three_times(state):
    for _ in range(3):
        state.look()


@pytest.mark.parametrize(
    ("before", "after", "learned", "webhooks"),
    [
        ({"completed": 10}, {"completed": 13}, 0, False),
        ({"completed": 10}, {"completed": 11, "failed": 2}, 0, False),
        ({"completed": 10}, {"completed": 12}, 0, None),
        ({"completed": 10}, {"completed": 13}, 1, None),
        ({"completed": 10}, {"completed": 14}, 1, False),
    ],
)
def test_jobs_that_end_unheard_three_looks_long_say_that_no_webhook_arrives(
    before, after, learned, webhooks, clock
):
    state = make_state(clock)
    state.health = health(**before)
    state.look()
    ended(state, [False] * learned)
    state.health = health(**after)
    state.look()
    state.look()
    assert state.pace.webhooks is None
    state.look()
    assert state.pace.webhooks is webhooks


def test_ends_that_are_heard_of_in_time_are_no_silence(clock):
    state = make_state(clock)
    for completed in (10, 13, 13, 10, 13, 13):
        state.health = health(completed=completed)
        state.look()
    assert state.pace.webhooks is None


@pytest.mark.parametrize("fields", [{"contract": "slipway"}, {"contract": "plain"}])
def test_silence_says_nothing_of_our_own_handler_or_without_health(fields, clock):
    state = make_state(clock, **fields)
    state.health = health(completed=0)
    state.look()
    state.health = health(completed=9) if fields["contract"] == "slipway" else None
    look_three_times(state)
    assert state.pace.webhooks is None


def test_a_job_of_another_endpoint_is_not_counted(clock):
    state = make_state(clock)
    make_job("IN_PROGRESS", endpoint=make_endpoint("other"))
    make_job("IN_PROGRESS")
    state.look()
    assert (state.pace.asked_about, Job.objects.count()) == (1, 2)
