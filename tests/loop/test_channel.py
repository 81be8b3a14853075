"""What the loop knows of an endpoint, and keeps from shift to shift."""

import asyncio
import time

import pytest

from jobs.loop import shift
from jobs.loop.channel import OVER, Channel
from jobs.loop.pace import Pace
from jobs.loop.shift import Shift
from jobs.models import Endpoint
from jobs.runpod import Health, RemoteJob
from jobs.runpod.errors import Busy, EndpointNotFound, NoAnswer, Refused
from tests.factories import make_endpoint


def make_channel(**fields):
    return Channel(Endpoint(slug="e", **fields), Pace([], 0))


def test_retry_after_outlives_a_shift():
    channel = make_channel()
    channel.heard(Busy("429", retry_after=600), route="run")
    channel.begin_shift(None)
    assert (channel.run_room(), channel.status_room() > 0) == (0, True)


def test_a_breakers_pause_outlives_a_shift_and_the_second_opening_alerts():
    channel = make_channel()
    codes = [channel.heard(NoAnswer("cut"), route="status") for _ in range(5)]
    assert codes == [""] * 5
    channel.begin_shift(None)
    assert (channel.status_room(), channel.run_room()) == (0, 0)
    channel.breaker._until = 0  # the pause is over; one call may go
    assert channel.status_room() == 1
    assert channel.heard(NoAnswer("cut"), route="status") == "no_answers"
    assert channel.heard(RemoteJob("x", "IN_QUEUE"), route="status") == OVER
    assert channel.status_room() > 1


@pytest.mark.parametrize(
    ("status", "code"), [(401, ""), (402, ""), (418, "no_answers")]
)
def test_a_refusal_of_the_account_stops_the_endpoint_at_once(status, code):
    channel = make_channel()
    assert channel.heard(Refused("no", status=status), route="run") == code
    assert channel.run_room() == 0


def test_an_endpoint_that_answers_health_has_not_gone():
    channel, gone = make_channel(), EndpointNotFound("404")
    assert channel.judged(gone, route="status") is gone
    channel.health = Health(jobs={}, workers={})
    assert isinstance(channel.judged(gone, route="status"), NoAnswer)
    assert isinstance(channel.judged(gone, route="run"), Busy)


@pytest.mark.parametrize(
    ("jobs", "running", "waiting", "starting"),
    [
        ({"inProgress": 50, "inQueue": 4950}, 48, 4952, 2 + 5),
        ({"inProgress": 0, "inQueue": 0}, 0, 13, 13 + 5),  # they ended unseen
        (None, 0, 40, 40 + 5),  # no /health: anybody may have started
    ],
)
def test_as_many_waiting_jobs_are_asked_as_may_have_started(
    jobs, running, waiting, starting
):
    channel = make_channel()
    channel.health = None if jobs is None else Health(jobs=jobs, workers={})
    assert channel._starting(running, waiting) == starting


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_a_shift_goes_on_with_what_the_one_before_has_learned(monkeypatch):
    monkeypatch.setattr(shift, "_known", {})
    endpoint = make_endpoint()

    def channel_of_one_shift():
        async def begin():
            working = Shift("holder")
            working._session = None
            try:
                return await working._channel(endpoint)
            finally:
                working._close_threads()

        return asyncio.run(begin())

    first = channel_of_one_shift()
    first.looked_at = time.monotonic()
    assert channel_of_one_shift() is first
    endpoint = make_endpoint("moved", api_base="http://elsewhere.example")
    assert channel_of_one_shift() is not first
