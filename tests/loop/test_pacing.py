"""The pace: how soon the loop asks about a job again."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.lib import conf
from jobs.shifts.loop.pace import NOT_FOUND_PAUSE, Pace
from tests.loop.polls import make_poll

FLOOR = conf.POLL_FLOOR_SECONDS


def pause(pace, status="IN_PROGRESS", **fields):
    return pace.pause(make_poll(status=status, **fields), status=status)


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


@pytest.mark.parametrize(
    ("rung", "webhooks"),
    [
        ([True] * 2, None),
        ([False] * 2, None),
        ([True] * 3, True),
        ([True, False, True, False], True),
        ([True, False, False], False),
        ([True] * 50 + [False] * 26, False),  # fifty are remembered
        ([False] * 50 + [True] * 25, True),
    ],
)
def test_webhooks_arrive_where_half_of_the_last_fifty_rang(rung, webhooks):
    pace = Pace(rung, 0)
    assert pace.webhooks is webhooks
    pace = Pace([], 0)
    pace.learned(rung)
    assert pace.webhooks is webhooks


def test_silence_counts_until_ends_tell():
    pace = Pace([], 0)
    pace.is_surely_unrung = True
    assert pace.webhooks is False
    pace.learned([True] * 3)
    assert pace.webhooks is True


@pytest.mark.parametrize(
    ("rung", "asked_about", "seconds"),
    [
        (True, 1, FLOOR),
        (True, 20, 10),  # two a second for all together
        (True, 100, 40),
        (True, 6000, 100),  # sixty a second are enough
        (None, 8, 1),
        (None, 160, 20),
        (None, 1000, 40),
        (False, 1000, FLOOR),
    ],
)
@pytest.mark.parametrize("status", ["IN_PROGRESS", "IN_QUEUE"])
def test_the_more_jobs_the_longer_the_pause_unless_webhooks_are_known_not_to_arrive(
    rung, asked_about, seconds, status
):
    pace = Pace([] if rung is None else [rung] * 3, 0)
    pace.asked_about = asked_about
    assert pause(pace, status=status) == seconds
    assert pace.front_pause() == seconds


def test_where_they_stand_matters_for_waiting_jobs_only():
    pace, first = Pace([False] * 3, 0), make_poll()
    pace.front = {first.job_id}
    assert pace.pause(first, status="IN_QUEUE") == FLOOR
    assert pause(pace, status="IN_PROGRESS") == FLOOR
    assert pause(pace, status="IN_QUEUE") >= 270
    pace.front = None
    assert pause(pace, status="IN_QUEUE") == FLOOR


def test_a_long_wait_is_drawn_by_lot_so_that_not_all_are_due_at_once():
    pace = Pace([False] * 3, 0)
    pace.front = set()
    assert len({pause(pace, status="IN_QUEUE") for _ in range(9)}) > 1


@pytest.mark.parametrize("fields", [{}, {"not_found_count": 1}])
def test_whoever_is_in_doubt_or_to_be_cancelled_is_asked_soon_in_any_case(fields):
    pace = Pace([True] * 3, 0)
    pace.asked_about, pace.front = 1000, set()
    assert pause(pace, status="UNCONFIRMED", **fields) == FLOOR
    assert pause(pace, status="IN_QUEUE", cancel_requested_at=now(), **fields) == FLOOR


def test_a_404_counts_more_than_a_place_in_the_queue():
    pace = Pace([False] * 3, 0)
    pace.front = set()
    assert pause(pace, status="IN_QUEUE", not_found_count=1) == NOT_FOUND_PAUSE


@pytest.mark.parametrize(("jobs", "waits"), [(20, False), (21, True)])
def test_a_few_jobs_are_asked_about_from_the_beginning(jobs, waits):
    pace = Pace([False] * 3, 1000.0)
    pace.asked_about = jobs
    assert (pause(pace) > 900) is waits
    assert (pause(pace, started_at=None) == 1000) is waits


def test_a_job_that_has_not_said_when_it_began_is_as_good_as_new():
    assert pause(Pace([False] * 3, 0), started_at=None) == FLOOR
