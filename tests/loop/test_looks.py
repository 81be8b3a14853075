"""What a channel does once a second: count, find who may run, judge the doorbell."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.models import Attempt, Job
from jobs.runpod import Health
from jobs.services.lifecycle import tracking
from jobs.shifts.loop.endpoint_state import Channel
from jobs.shifts.loop.pace import Pace
from tests.factories import make_endpoint, make_job

pytestmark = [pytest.mark.db, pytest.mark.django_db]
FLOOR = 0.85


def make_channel(clock, rung=(), **fields):
    fields = {"contract": "plain", **fields}
    return Channel(make_endpoint(**fields), Pace(list(rung), 0), clock)


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
    channel = make_channel(clock)
    assert channel.look_due()
    channel.look()
    assert not channel.look_due()
    clock.now += 1
    assert channel.look_due()
    settings.JOBS_HEALTH_PAUSE_SECONDS = 5.0
    assert not channel.look_due()


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
    channel = make_channel(clock)
    channel.health = None if jobs is None else Health(jobs=jobs, workers={})
    channel.look()
    front = None if starting is None else set(range(starting))
    assert channel.pace.front == front
    assert channel.pace.asked_about == running + min(waiting, starting or waiting)


def test_the_oldest_waiting_jobs_are_in_front(clock):
    channel = make_channel(clock)
    jobs = [make_job("IN_QUEUE") for _ in range(7)]
    make_job("IN_QUEUE", endpoint=make_endpoint("other"))
    channel.health = health(inQueue=7)
    channel.look()
    assert channel.pace.front == {job.pk for job in jobs[:5]}


# --- long pauses are cut short --------------------------------------------------------
def test_jobs_that_come_to_the_front_are_asked_about_soon(clock):
    channel = make_channel(clock, [False] * 3)
    jobs = [sleeping() for _ in range(7)] + [sleeping("IN_PROGRESS")]
    channel.health, channel.is_health_known = health(inQueue=7), True
    before = now()
    channel.look()
    assert all(sleeps(job, FLOOR + 0.2, before) for job in jobs[:5])
    assert all(is_asleep(job) for job in jobs[5:])


def test_where_webhooks_arrive_the_front_is_asked_less_soon(clock):
    channel = make_channel(clock, [True] * 3)
    jobs = [sleeping() for _ in range(8)]
    channel.health, channel.is_health_known = health(inQueue=0), True
    before = now()
    channel.look()
    assert all(sleeps(job, 4 + 0.2, before) for job in jobs)


def test_before_health_was_asked_nobody_is_hurried(clock):
    channel, job = make_channel(clock, [False] * 3), sleeping()
    channel.look()
    assert is_asleep(job)


def test_when_webhooks_turn_out_not_to_arrive_running_jobs_are_asked_at_once(clock):
    channel = make_channel(clock)
    job, waiting = sleeping("IN_PROGRESS"), sleeping()
    channel.is_health_known = True
    channel.look()
    assert (is_asleep(job), is_asleep(waiting)) == (True, False)
    channel.pace.learned([False] * 3)
    before = now()
    channel.look()
    assert sleeps(job, FLOOR, before)
    later = sleeping("IN_PROGRESS")
    channel.look()
    assert is_asleep(later)  # chosen when it was known already


# --- does the doorbell ring? ----------------------------------------------------------
def ended(channel, rung):
    for is_rung in rung:
        rung_at = now() if is_rung else None
        job = make_job("COMPLETED")
        job.attempts.update(rung_at=rung_at)
        channel.learned_end(job.attempts.get().pk)


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
    channel = make_channel(clock)
    ended(channel, rung)
    clock.now += 1.9
    channel.look()
    assert channel.pace.webhooks is None  # it may still ring
    clock.now += 0.2
    channel.look()
    channel.look()
    assert channel.pace.webhooks is webhooks


def test_a_doorbell_that_rings_a_little_late_has_rung(clock):
    channel = make_channel(clock)
    ended(channel, [False] * 3)
    channel.look()
    Attempt.objects.update(rung_at=now())
    clock.now += 2
    channel.look()
    assert channel.pace.webhooks is True


def test_whoever_has_just_ended_is_judged_later(clock):
    channel = make_channel(clock)
    ended(channel, [True] * 2)
    clock.now += 2
    ended(channel, [False] * 4)
    channel.look()
    assert channel.pace.webhooks is None
    clock.now += 2
    channel.look()
    assert channel.pace.webhooks is False


def look_three_times(channel):
    for _ in range(3):
        channel.look()


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
    channel = make_channel(clock)
    channel.health = health(**before)
    channel.look()
    ended(channel, [False] * learned)
    channel.health = health(**after)
    channel.look()
    channel.look()
    assert channel.pace.webhooks is None
    channel.look()
    assert channel.pace.webhooks is webhooks


def test_ends_that_are_heard_of_in_time_are_no_silence(clock):
    channel = make_channel(clock)
    for completed in (10, 13, 13, 10, 13, 13):
        channel.health = health(completed=completed)
        channel.look()
    assert channel.pace.webhooks is None


@pytest.mark.parametrize("fields", [{"contract": "slipway"}, {"contract": "plain"}])
def test_silence_says_nothing_of_our_own_handler_or_without_health(fields, clock):
    channel = make_channel(clock, **fields)
    channel.health = health(completed=0)
    channel.look()
    channel.health = health(completed=9) if fields["contract"] == "slipway" else None
    look_three_times(channel)
    assert channel.pace.webhooks is None


def test_a_job_of_another_endpoint_is_not_counted(clock):
    channel = make_channel(clock)
    make_job("IN_PROGRESS", endpoint=make_endpoint("other"))
    make_job("IN_PROGRESS")
    channel.look()
    assert (channel.pace.asked_about, Job.objects.count()) == (1, 2)
