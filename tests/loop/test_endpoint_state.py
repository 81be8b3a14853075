"""What a state hears of its endpoint, and how many requests it lets go then."""

import pytest
from django.utils.timezone import now

from jobs.models import Endpoint
from jobs.runpod import Health, RemoteJob
from jobs.runpod.errors import (
    Busy,
    EndpointNotFound,
    JobNotFound,
    NoAnswer,
    NotSent,
    Refused,
)
from jobs.shifts.loop.endpoint_state import OVER, EndpointState
from jobs.shifts.loop.pace import Pace
from tests.loop.polls import make_poll

ROUTES = ["run", "status"]
WELL = RemoteJob("x", "IN_QUEUE")


@pytest.fixture
def state(clock):
    return EndpointState(Endpoint(slug="e"), Pace([], 0), clock)


def rooms(state):
    """Return whether jobs may be sent, and asked about."""
    return {"run": state.run_room() > 0, "status": state.status_room() > 0}


def busy(retry_after=None):
    return Busy("429", retry_after=retry_after)


# --- 429 and Retry-After --------------------------------------------------------------
@pytest.mark.parametrize(("route", "other"), [ROUTES, ROUTES[::-1]])
def test_retry_after_is_kept_for_its_route_and_outlives_a_shift(
    route, other, clock, state
):
    assert state.heard(busy(600), route=route) == ""
    state.begin_shift(None)
    clock.now += 599
    assert rooms(state) == {route: False, other: True}
    clock.now += 1
    assert rooms(state) == {route: True, other: True}


@pytest.mark.parametrize("route", ROUTES)
def test_a_shorter_retry_after_does_not_cut_a_longer_one_short(route, clock, state):
    state.heard(busy(60), route=route)
    state.heard(busy(1), route=route)
    clock.now += 30
    assert not rooms(state)[route]


def test_without_retry_after_the_pauses_double_up_to_ten_minutes(clock, state):
    for pause in (2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600):
        state.heard(busy(), route="run")
        clock.now += pause - 0.1
        assert not rooms(state)["run"]
        clock.now += 0.2
        assert rooms(state)["run"]
    state.heard(WELL, route="run")
    state.heard(busy(), route="run")
    clock.now += 2.1
    assert rooms(state)["run"]


def test_retry_after_nothing_is_a_moment(clock, state):
    state.heard(busy(0), route="run")
    assert not rooms(state)["run"]
    clock.now += 0.11
    assert rooms(state)["run"]


def test_a_503_with_retry_after_stops_both_routes(clock, state):
    state.heard(NoAnswer("503", retry_after=60), route="run")
    clock.now += 59
    assert rooms(state) == {"run": False, "status": False}
    clock.now += 1
    assert rooms(state) == {"run": True, "status": True}


def test_a_429_is_no_failure(state):
    for _ in range(9):
        state.heard(busy(), route="run")
    assert not state.breaker.is_open


# --- failures -------------------------------------------------------------------------
@pytest.mark.parametrize("error", [NoAnswer("cut"), NotSent("refused")])
def test_after_five_failures_one_call_goes_at_a_time(error, clock, state, caplog):
    codes = [state.heard(error, route="status") for _ in range(4)]
    assert rooms(state) == {"run": True, "status": True}
    assert state.heard(error, route="status") == "" == "".join(codes)
    assert "endpoint=e left alone" in caplog.text
    state.begin_shift(None)
    assert rooms(state) == {"run": False, "status": False}
    clock.now += 30
    assert (state.status_room(), state.run_room()) == (1, 1)
    state.asks(make_poll().job_id)
    assert rooms(state) == {"run": False, "status": False}


def test_a_probe_may_also_be_a_job_that_is_sent(clock, state):
    state.heard(Refused("no", status=402), route="run")
    clock.now += 30
    state.sends(make_poll().job_id)
    assert rooms(state) == {"run": False, "status": False}
    assert state.heard(NoAnswer("cut"), route="run") == "no_answers"


def test_the_second_opening_alerts_until_a_job_is_known_there(clock, state):
    for _ in range(5):
        state.heard(WELL, route="status")
        state.heard(NoAnswer("cut"), route="status")
    for _ in range(5):
        state.heard(NoAnswer("cut"), route="status")
    clock.now += 30
    state.asks(make_poll().job_id)
    assert state.heard(NoAnswer("cut"), route="status") == "no_answers"
    assert state.heard(WELL, route="status") == OVER
    assert state.status_room() > 1
    assert state.heard(WELL, route="status") == ""


@pytest.mark.parametrize(
    ("status", "code"), [(401, ""), (403, ""), (402, ""), (418, "no_answers")]
)
def test_a_refusal_of_the_account_stops_the_endpoint_at_once(status, code, state):
    state.heard(WELL, route="status")
    assert state.heard(Refused("no", status=status), route="run") == code
    assert rooms(state) == {"run": False, "status": False}
    assert state.heard(WELL, route="status") == OVER


@pytest.mark.parametrize(
    "answer",
    [JobNotFound("404"), *(Refused("", status=n) for n in (400, 404, 405, 409, 413, 422))],
)  # fmt: skip
def test_a_refusal_of_one_job_is_an_answer_and_no_proof(answer, state):
    for _ in range(9):
        state.heard(NoAnswer("cut"), route="run")
    assert state.heard(answer, route="run") == ""
    assert rooms(state) == {"run": True, "status": True}
    assert state.heard(WELL, route="status") == OVER


def test_a_job_that_is_known_there_proves_that_the_endpoint_is_back(state):
    assert state.heard(WELL, route="run") == OVER  # a process before us may have said
    assert state.heard(WELL, route="run") == ""
    state.endpoint.unreachable_at = now()
    assert state.heard(WELL, route="run") == OVER


# --- 404 for the endpoint -------------------------------------------------------------
def test_where_the_endpoint_is_unknown_nothing_is_sent_for_a_while(clock, state):
    assert state.heard(EndpointNotFound("404"), route="run") == ""
    assert rooms(state) == {"run": False, "status": True}
    clock.now += 6
    assert rooms(state) == {"run": True, "status": True}


def test_to_an_endpoint_that_is_away_one_job_is_sent_at_a_time(state):
    state.endpoint.unreachable_at = now()
    assert (state.run_room(), state.status_room()) == (1, 45)


def test_an_endpoint_that_answers_health_has_not_gone(state):
    gone, cut = EndpointNotFound("404"), NoAnswer("cut")
    assert state.judged(gone, route="status") is gone
    state.health = Health(jobs={}, workers={})
    assert isinstance(state.judged(gone, route="status"), NoAnswer)
    judged = state.judged(gone, route="run")
    assert (type(judged), judged.retry_after) == (Busy, 6.0)
    assert state.judged(cut, route="run") is cut


# --- how many at once -----------------------------------------------------------------
def ids(count):
    return [make_poll().job_id for _ in range(count)]


def test_calls_on_their_way_leave_less_room(clock, state):
    assert (state.status_room(), state.run_room()) == (45, 20)
    for _ in range(3):
        for id in ids(20):
            state.asks(id)
        clock.now += 1
    assert state.status_room() == 4
    for id in ids(20):
        state.sends(id)
    clock.now += 1
    assert state.run_room() == 12


def test_too_many_calls_on_their_way_leave_none(clock, state):
    state.asking, state.sending = set(ids(70)), set(ids(40))
    assert (state.status_room(), state.run_room()) == (0, 0)


def test_budgets_are_as_configured(settings, clock):
    settings.JOBS_STATUS_PER_SECOND = 8.0
    settings.JOBS_RUN_PER_SECOND = 12.0
    settings.JOBS_CANCEL_PER_SECOND = 16.0
    state = EndpointState(Endpoint(slug="e"), Pace([], 0), clock)
    counts = state.status_room(), state.run_room(), state.cancels.available()
    assert counts == (2, 3, 4)


def test_a_new_shift_forgets_the_calls_of_the_one_before(state):
    poll = make_poll()
    state.asks(poll.job_id)
    state.sends(poll.job_id)
    state.later(poll, 1)
    running = RemoteJob("x", "IN_PROGRESS", output=1, has_output=True)
    assert state.is_new_output(poll, running)
    state.begin_shift("client")
    assert (state.client, state.asking, state.sending) == ("client", set(), set())
    assert state.take_unchanged() == {}
    assert state.is_new_output(poll, running)


def test_a_channel_nobody_has_looked_at_for_a_quarter_of_an_hour_is_stale(clock, state):
    state.looked_at = clock.now
    clock.now += 900
    assert not state.is_stale
    clock.now += 1
    assert state.is_stale


# --- answers that change nothing ------------------------------------------------------
def test_progress_is_new_only_once(state):
    poll, other = make_poll(), make_poll()

    def is_new(output, poll=poll, **fields):
        fields = {"output": output, "has_output": True, **fields}
        return state.is_new_output(poll, RemoteJob("x", "IN_PROGRESS", **fields))

    assert [is_new(1), is_new(1), is_new(2), is_new(1, other)] == [1, 0, 1, 1]
    assert not is_new(None, has_output=False)
    assert not state.is_new_output(poll, NoAnswer("cut"))
    state.forget(other.job_id)
    assert [is_new(2), is_new(1, other)] == [False, True]


def test_who_is_asked_again_later_is_written_down_once_and_together(state):
    polls = [make_poll() for _ in range(3)]
    at = polls[0].read_at
    for poll, pause in zip(polls, (1.02, 1.04, 3), strict=True):
        state.later(make_poll(job_id=poll.job_id, read_at=at), pause)
    first, second, third = (poll.job_id for poll in polls)
    assert state.take_unchanged() == {(at, 1.0): [first, second], (at, 3): [third]}
    assert state.take_unchanged() == {}
