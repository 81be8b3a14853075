"""Steps that may end a process, and wishes to cancel."""

import asyncio
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils.timezone import now

from jobs.models import Job
from jobs.runpod.errors import Busy, JobNotFound, NoAnswer, NotSent
from jobs.services.lifecycle import reconcile, sync
from tests.factories import make_job
from tests.loop.polls import due_poll, remote

pytestmark = [pytest.mark.db, pytest.mark.django_db]
HOUR = timedelta(hours=1)
STEPS = ("FINALIZING", "UNCONFIRMED")


def step(loop, job):
    """Take a step as a tick does."""
    job.refresh_from_db()
    busy = {job.pk}
    try:
        loop.do(loop.actions.step, job.pk, job.unfinished_steps, busy)
    finally:
        job.refresh_from_db()
        assert busy == set()


def replace_step(monkeypatch, act):
    monkeypatch.setattr(reconcile, "step", act)


def fail_with(error):
    def fail(*_):
        raise error

    return fail


# --- steps ----------------------------------------------------------------------------
def test_a_step_is_counted_while_it_lasts(loop, monkeypatch):
    counted = []
    replace_step(
        monkeypatch,
        lambda job: counted.append(Job.objects.get(pk=job.pk).unfinished_steps),
    )
    job = make_job("UNCONFIRMED")
    step(loop, job)
    assert (counted, job.unfinished_steps) == ([1], 0)


def test_a_step_that_moves_the_job_is_counted_no_more(loop):
    job = make_job(
        "UNCONFIRMED", runpod_id="", moved_at=now() - HOUR, unfinished_steps=1
    )
    step(loop, job)
    assert job.status == "PENDING"
    assert job.unfinished_steps == 1  # it is the death while sending that counts


def test_a_step_that_only_began_is_counted_by_whoever_goes_on(loop, monkeypatch):
    replace_step(monkeypatch, lambda _: None)
    job = make_job("FINALIZING", unfinished_steps=2)
    step(loop, job)
    assert job.unfinished_steps == 2


def test_a_job_that_has_ended_meanwhile_is_left_alone(loop, monkeypatch):
    taken = []
    replace_step(monkeypatch, taken.append)
    step(loop, make_job("COMPLETED"))
    assert taken == []


@pytest.mark.parametrize("status", STEPS)
def test_an_error_counts_like_a_death_and_the_third_ends_the_job(
    status, loop, monkeypatch
):
    replace_step(monkeypatch, fail_with(ValueError("boom")))
    job = make_job(status)
    for unfinished_steps in (1, 2, 3):
        before = now()
        step(loop, job)
        assert (job.status, job.unfinished_steps) == (status, unfinished_steps)
        assert before + timedelta(seconds=10) <= job.due_at
        assert job.due_at <= now() + timedelta(seconds=10)
    step(loop, job)
    assert (job.status, job.error_code) == ("FAILED", "poison")


def test_a_database_error_is_nobodys_fault(loop, monkeypatch):
    replace_step(monkeypatch, fail_with(OperationalError("locked")))
    job = make_job("UNCONFIRMED")
    with pytest.raises(OperationalError):
        step(loop, job)
    assert (job.unfinished_steps, job.due_at <= now()) == (0, True)


def test_an_answer_that_cannot_be_applied_counts_like_a_death(loop, monkeypatch):
    monkeypatch.setattr(sync, "heard", fail_with(ValueError("boom")))
    loop.client.answers["status"] = remote("COMPLETED")
    job = make_job("IN_PROGRESS")
    loop.do(loop.actions.ask, loop.state, due_poll(job))
    job.refresh_from_db()
    assert (job.status, job.unfinished_steps) == ("IN_PROGRESS", 1)


# --- poison goes alone ----------------------------------------------------------------
class Company:
    """Counts how many are at the database at once; waits until all who may be are."""

    def __init__(self, loop, at_once):
        self.now = self.most = 0
        self.at_once = at_once
        self.really, loop.in_db = loop.in_db, self.in_db

    async def in_db(self, function, *args):
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(5000):
            if self.most == self.at_once:
                break
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)  # nobody else may come
        self.now -= 1
        return await self.really(function, *args)


@pytest.mark.parametrize(("unfinished_steps", "at_once"), [(0, 3), (1, 1)])
def test_steps_go_together_unless_the_last_one_ended_a_process(
    unfinished_steps, at_once, loop
):
    company = Company(loop, at_once)
    jobs = [make_job("UNCONFIRMED") for _ in range(3)]
    loop.do_all(
        *((loop.actions.step, job.pk, unfinished_steps, {job.pk}) for job in jobs)
    )
    assert company.most == at_once


@pytest.mark.parametrize(("unfinished_steps", "at_once"), [(0, 3), (1, 1)])
def test_answers_are_heard_together_unless_the_last_one_ended_a_process(
    unfinished_steps, at_once, loop
):
    loop.client.answers["status"] = JobNotFound("404")
    jobs = [
        make_job("IN_PROGRESS", unfinished_steps=unfinished_steps) for _ in range(3)
    ]
    polls = [due_poll(job) for job in jobs]
    company = Company(loop, at_once)
    loop.do_all(*((loop.actions.ask, loop.state, poll) for poll in polls))
    assert company.most == at_once
    assert Job.objects.filter(not_found_count=1).count() == 3


# --- wishes to cancel -----------------------------------------------------------------
def ask(loop, job):
    loop.do(loop.actions.ask, loop.state, due_poll(job))


def doomed_job():
    return make_job("IN_PROGRESS", cancel_requested_at=now())


def test_whoever_is_to_be_cancelled_is_cancelled_there_and_asked_about(loop):
    loop.client.answers["status"] = remote("CANCELLED")
    job = doomed_job()
    ask(loop, job)
    job.refresh_from_db()
    assert (loop.client.cancelled, loop.client.asked) == (["job-u1"], ["job-u1"])
    assert (job.status, job.reason) == ("CANCELLED", "user")


def test_nobody_else_is_cancelled(loop):
    ask(loop, make_job("IN_PROGRESS"))
    assert loop.client.cancelled == []


def test_a_wish_is_repeated_every_five_seconds(loop):
    job = doomed_job()
    for seconds, count in ((0, 1), (4.9, 1), (0.1, 2), (4.9, 2), (0.1, 3)):
        loop.clock.now += seconds
        ask(loop, job)
        assert len(loop.client.cancelled) == count
    assert len(loop.client.asked) == 5


@pytest.mark.parametrize(
    "error", [NoAnswer("cut"), NotSent("refused"), Busy("429", retry_after=None)]
)
def test_a_wish_that_was_not_heard_is_repeated_after_a_second(error, loop):
    loop.client.answers["cancel"] = error
    job = doomed_job()
    for seconds, count in ((0, 1), (0.9, 1), (0.1, 2)):
        loop.clock.now += seconds
        ask(loop, job)
        assert len(loop.client.cancelled) == count
    assert len(loop.client.asked) == 3


def test_wishes_wait_for_the_budget(loop):
    for n in range(3):
        ask(loop, make_job("IN_PROGRESS", runpod_id=f"j{n}", cancel_requested_at=now()))
    assert loop.client.cancelled == ["j0", "j1"]
    assert loop.client.asked == ["j0", "j1", "j2"]


def test_a_wish_that_had_to_wait_is_fulfilled_as_soon_as_it_may(loop):
    loop.state.cancels.spend(2)
    job = doomed_job()
    ask(loop, job)
    assert loop.client.cancelled == []
    loop.clock.now += 0.2
    ask(loop, job)
    assert loop.client.cancelled == ["job-u1"]
