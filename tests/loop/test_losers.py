"""Attempts that another has made useless: RunPod is told to stop them."""

import pytest

from jobs.models import Attempt
from jobs.runpod import RemoteJob
from jobs.runpod.errors import (
    Busy,
    EndpointNotFound,
    JobNotFound,
    NoAnswer,
    NotSent,
    Refused,
)
from tests.factories import make_endpoint, make_job
from tests.loop.backend import CUT, HOLD

pytestmark = pytest.mark.db


def make_loser(name, status="IN_QUEUE", **fields):
    job = make_job(status, attempt_no=2, **fields)
    return Attempt.objects.create(job=job, number=1, runpod_id=name, is_unwanted=True)


def stop(loop, attempt):
    """Stop it as a tick does; return whether that is settled."""
    loop.do(loop.actions.stop_loser, loop.state, attempt)
    attempt.refresh_from_db()
    assert attempt.is_unwanted is (attempt.ended_at is None)
    return not attempt.is_unwanted


@pytest.mark.parametrize(
    "answer",
    [
        RemoteJob("loser", "CANCELLED"),
        JobNotFound("404"),
        EndpointNotFound("404"),
        Refused("no", status=400),
    ],
)
@pytest.mark.django_db
def test_whatever_runpod_says_settles_it(answer, loop):
    loop.client.answers["cancel"] = answer
    assert stop(loop, make_loser("loser"))
    assert loop.client.cancelled == ["loser"]


@pytest.mark.parametrize(
    "error", [NoAnswer("cut"), NotSent("refused"), Busy("429", retry_after=None)]
)
@pytest.mark.django_db
def test_a_loser_that_runpod_has_not_heard_of_is_told_again(error, loop):
    attempt = make_loser("loser")
    loop.client.answers["cancel"] = error
    assert not stop(loop, attempt)
    loop.client.answers["cancel"] = RemoteJob("loser", "CANCELLED")
    assert stop(loop, attempt)


@pytest.mark.django_db
def test_losers_wait_for_the_budget(loop):
    losers = [make_loser(f"j{n}") for n in range(3)]
    assert [stop(loop, attempt) for attempt in losers] == [True, True, False]
    loop.clock.now += 0.2
    assert stop(loop, losers[2])
    assert loop.client.cancelled == ["j0", "j1", "j2"]


@pytest.mark.django_db(transaction=True)
def test_a_shift_stops_losers_as_they_appear(work, backend, endpoint):
    make_loser("first", endpoint=endpoint)
    work(0.9, lambda: make_loser("second", endpoint=endpoint), 0.9)
    assert backend.asked("cancel") == ["first", "second"]


@pytest.mark.django_db(transaction=True)
def test_whoever_cannot_be_stopped_is_tried_once_a_second(work, backend, endpoint):
    make_loser("loser", endpoint=endpoint)
    backend.answers["cancel"] = CUT
    work(0.0, 0.0, 0.0, 0.4)  # ticks at 0, 0.2, 0.4, 0.6 and 1.2 s
    assert backend.asked("cancel") == ["loser"] * 2


@pytest.mark.django_db(transaction=True)
def test_while_the_answer_is_on_its_way_it_is_not_tried_again(work, backend, endpoint):
    make_loser("loser", endpoint=endpoint)
    backend.answers["cancel"] = HOLD
    work(1.0, 1.0, backend.let_go.set)
    assert backend.asked("cancel") == ["loser"]


@pytest.mark.django_db(transaction=True)
def test_a_loser_is_stopped_also_where_no_job_is_left(work, backend, endpoint):
    attempt = make_loser("loser", "COMPLETED", endpoint=endpoint)
    work()
    attempt.refresh_from_db()
    assert (backend.asked("cancel"), attempt.is_unwanted) == (["loser"], False)


@pytest.mark.django_db(transaction=True)
def test_losers_are_stopped_at_their_own_endpoint(
    work, backend, other_backend, endpoint
):
    other = make_endpoint("other", api_base=other_backend.url)
    make_loser("here", endpoint=endpoint)
    make_loser("there", endpoint=other)
    work()
    assert backend.asked("cancel") == ["here"]
    assert other_backend.asked("cancel") == ["there"]


@pytest.mark.django_db(transaction=True)
def test_many_losers_are_stopped_some_at_a_time(work, settings, backend, endpoint):
    settings.JOBS_CANCEL_PER_SECOND = 100.0
    for n in range(13):
        make_loser(f"j{n}", "COMPLETED", endpoint=endpoint)
    seen = []
    work(lambda: seen.append(backend.counts()["cancel"]), 1.0)
    assert seen == [10]
    assert sorted(backend.asked("cancel")) == sorted(f"j{n}" for n in range(13))
