"""Budget, breaker and pace: when the loop asks, and when it leaves RunPod alone."""

import uuid
from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs import conf
from jobs.loop.breaker import Breaker
from jobs.loop.budget import Budget
from jobs.loop.pace import NOT_FOUND_PAUSE, Pace
from jobs.services.tracking import Poll

FLOOR = conf.POLL_FLOOR_SECONDS


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_budget_is_never_exceeded_in_any_ten_seconds(clock):
    budget, sent = Budget(180, clock), []
    for _ in range(3000):
        clock.now += 0.01
        count = budget.available()
        budget.spend(count)
        sent += [clock.now] * count
    for start in range(20):
        within = [at for at in sent if 1000 + start <= at < 1010 + start]
        assert 1700 <= len(within) <= 2000


def test_a_budget_does_not_save_up_for_a_storm(clock):
    budget = Budget(180, clock)
    clock.now += 3600
    assert budget.available() == 45


def test_five_failures_open_the_breaker_and_one_answer_closes_it(clock):
    breaker = Breaker(clock)
    opened = [breaker.failed() for _ in range(5)]
    assert opened == [False] * 4 + [True]
    assert not breaker.may_call()
    clock.now += 30
    assert breaker.may_call()
    assert not breaker.may_call()  # one probe
    assert breaker.succeeded()
    assert breaker.may_call()


def test_half_of_twenty_failures_open_it_too(clock):
    breaker = Breaker(clock)
    for _ in range(10):
        breaker.succeeded()
        opened = breaker.failed()
    assert opened


def test_each_failed_probe_doubles_the_pause_up_to_five_minutes(clock):
    breaker = Breaker(clock)
    breaker.failed(at_once=True)
    for pause in (30, 60, 120, 240, 300, 300):
        clock.now += pause - 1
        assert not breaker.may_call()
        clock.now += 1
        assert breaker.may_call()
        breaker.failed()


def test_calls_that_left_before_it_opened_do_not_count_as_the_probe(clock):
    breaker = Breaker(clock)
    breaker.failed(at_once=True)
    for _ in range(30):
        breaker.failed()
    clock.now += 30
    assert breaker.may_call()


def poll(**fields):
    at = now()
    values = {
        "read_at": at,
        "job_id": uuid.uuid4(),
        "attempt_id": uuid.uuid4(),
        "runpod_id": "x",
        "status": "IN_PROGRESS",
        "takes": 0,
        "not_found_count": 0,
        "worker_id": "",
        "submitted_at": at,
        "started_at": at,
    }
    return Poll(**{**values, **fields})


def pause(pace, status="IN_PROGRESS", **fields):
    return pace.pause(poll(status=status, **fields), status=status)


def test_a_few_jobs_are_asked_about_every_second():
    pace = Pace([True] * 10, 0)
    pace.asked_about = 1
    assert pause(pace) == FLOOR


def test_where_webhooks_arrive_polls_are_a_safety_net():
    pace = Pace([True] * 9 + [False], 0)
    pace.asked_about = 1000
    assert pause(pace) == 40


def test_where_they_do_not_it_is_an_even_sweep():
    pace = Pace([False] * 10, 0)
    pace.asked_about = 1000
    assert pause(pace) == FLOOR


def test_nothing_known_yet_is_asked_gently_until_ends_tell():
    pace = Pace([], 0)
    pace.asked_about = 100
    assert pause(pace) == 100 / 8
    pace.learned([False] * 3)
    assert pause(pace) == FLOOR


def test_nobody_asks_before_the_shortest_usual_run_time():
    pace = Pace([False] * 10, 8.0)
    pace.asked_about = 100
    assert 4.9 < pause(pace, started_at=now() - timedelta(seconds=3)) < 5.1
    assert pause(pace, started_at=now() - timedelta(seconds=9)) == FLOOR


def test_waiting_jobs_behind_the_front_are_asked_within_five_minutes():
    pace = Pace([False] * 10, 0)
    pace.front = set()
    assert 270 <= pause(pace, status="IN_QUEUE") < 300


def test_a_404_is_followed_up_so_that_three_take_twenty_seconds():
    assert pause(Pace([True] * 10, 0), not_found_count=1) == NOT_FOUND_PAUSE
    assert 2 * NOT_FOUND_PAUSE > 20


def test_a_job_being_cancelled_is_watched_closely():
    pace = Pace([True] * 10, 0)
    pace.asked_about = 1000
    assert pause(pace, cancel_requested_at=now()) == FLOOR


def test_a_job_of_many_minutes_is_asked_about_less_often():
    pace = Pace([False] * 10, 0)
    assert pause(pace, started_at=now() - timedelta(minutes=5)) == pytest.approx(5, 0.1)
    assert pause(pace, started_at=now() - timedelta(hours=2)) == 10
