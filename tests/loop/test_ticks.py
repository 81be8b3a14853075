"""Whom a tick sends, asks and steps, and whom it leaves alone."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils.timezone import now

from jobs.models import Alert, Attempt, Endpoint, Job
from jobs.services.batching import batches
from jobs.services.lifecycle import reconcile, sync
from jobs.shifts.loop import endpoint_state as states
from tests.factories import make_batch, make_endpoint, make_job
from tests.loop.backend import ENDPOINT_NOT_FOUND, HOLD

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]
HOUR = timedelta(hours=1)


def all_due():
    Job.objects.active().update(due_at=now())


def narrow(window):
    Endpoint.objects.update(release_window=window)


def queued(count, endpoint, status="IN_QUEUE", **fields):
    return [
        make_job(status, endpoint=endpoint, runpod_id=f"j{n}", **fields)
        for n in range(count)
    ]


# --- the release window ---------------------------------------------------------------
@pytest.mark.parametrize(("window", "sent"), [(2, 2), (None, 3)])
def test_runpod_is_given_as_many_jobs_as_the_window_lets_through(
    window, sent, work, backend, endpoint
):
    narrow(window)
    queued(3, endpoint, "PENDING")
    work(all_due)
    assert backend.counts()["run"] == sent


def test_a_window_that_is_narrowed_in_mid_shift_is_obeyed(work, backend, endpoint):
    def narrow_and_fill():
        narrow(1)
        queued(2, endpoint, "PENDING")

    work(narrow_and_fill)
    assert backend.counts()["run"] == 0 or Job.objects.count() == 2
    work()
    assert backend.counts()["run"] == 1


def test_workers_that_health_tells_of_widen_the_window(work, backend, endpoint):
    narrow(0)
    backend.answers["health"] = 200, {"jobs": {}, "workers": {"idle": 8, "running": 7}}
    queued(35, endpoint, "PENDING")
    work(1.0, 1.0, 1.0)
    assert Job.objects.filter(status="IN_QUEUE").count() == 30


# --- who is asked, and how often ------------------------------------------------------
def test_whoever_was_asked_is_left_alone_for_a_while_and_asked_again(
    work, backend, endpoint
):
    job, before = make_job("IN_QUEUE", endpoint=endpoint), now()
    work(0.1, 0.1)
    assert backend.asked() == ["job-u1"]
    job.refresh_from_db()
    assert before < job.due_at < now() + timedelta(seconds=1)
    work(all_due, 0.1, all_due)
    assert len(backend.asked()) == 3


def test_what_the_last_tick_heard_is_written_down_too(work, backend, endpoint):
    job, before = make_job("IN_QUEUE", endpoint=endpoint), now()
    work()
    job.refresh_from_db()
    assert job.due_at > before + timedelta(seconds=0.8)


def test_no_more_is_asked_than_the_budget_allows(work, settings, backend, endpoint):
    settings.JOBS_STATUS_PER_SECOND = 8.0
    queued(5, endpoint)
    seen = []
    work(*[lambda: seen.append(backend.counts()["status"])] * 3)
    assert seen == [2, 3, 5]


def test_no_more_is_sent_than_the_budget_allows(work, settings, backend, endpoint):
    settings.JOBS_RUN_PER_SECOND = 8.0
    queued(5, endpoint, "PENDING")
    seen = []
    work(*[lambda: seen.append(backend.counts()["run"])] * 3)
    assert seen == [2, 3, 5]


@pytest.mark.parametrize(
    ("route", "status", "limit"),
    [("run", "PENDING", "RUNS_AT_ONCE"), ("status", "IN_QUEUE", "MANY_AT_ONCE")],
)
def test_few_requests_are_on_their_way_at_once(
    route, status, limit, work, monkeypatch, backend, endpoint
):
    monkeypatch.setattr(states, limit, 2)
    backend.answers[route] = HOLD
    queued(3, endpoint, status)
    work(0.0, backend.let_go.set, 0.0, 0.0)
    assert backend.counts()[route] == 3
    assert backend.most_held == 2


def test_nobody_is_asked_again_while_the_answer_is_on_its_way(work, backend, endpoint):
    backend.answers["status"] = HOLD
    queued(2, endpoint)
    work(0.0, 0.0, backend.let_go.set)
    assert sorted(backend.asked()) == ["j0", "j1"]


def test_a_job_whose_doorbell_rang_meanwhile_is_asked_again_at_once(
    work, backend, endpoint
):
    backend.answers["status"] = HOLD
    make_job("IN_QUEUE", endpoint=endpoint)

    def ring():
        Job.objects.update(due_at=now())
        backend.let_go.set()

    work(ring, 0.0, 0.0)
    assert len(backend.asked()) == 2


# --- health ---------------------------------------------------------------------------
def test_health_is_asked_once_a_second(work, backend, endpoint):
    make_job(endpoint=endpoint, due_at=now() + HOUR)
    work(0.0, 0.0, 0.0, 0.4)  # ticks at 0, 0.2, 0.4, 0.6 and 1.2 s
    assert backend.counts() == {"health": 2}


def test_without_a_key_health_is_not_asked(work, settings, backend, endpoint):
    settings.RUNPOD_KEYS = {}
    make_job(endpoint=endpoint, due_at=now() + HOUR)
    work()
    assert backend.calls == []


def test_an_endpoint_without_jobs_is_not_asked_at_all(work, backend, endpoint):
    make_job("COMPLETED", endpoint=endpoint)
    work()
    assert backend.calls == []


def test_a_held_job_that_was_cancelled_ends_however_far_off_its_turn(work, endpoint):
    job = make_job(endpoint=endpoint, due_at=now() + HOUR, cancel_requested_at=now())
    work()
    job.refresh_from_db()
    assert job.status == "CANCELLED"


def test_a_job_past_every_deadline_is_timed_out_when_a_shift_meets_it(
    work, backend, endpoint
):
    job = make_job("IN_PROGRESS", endpoint=endpoint)
    Attempt.objects.update(created_at=now() - timedelta(days=3))
    work()
    job.refresh_from_db()
    assert (job.status, backend.asked()) == ("TIMED_OUT", [])


# --- steps -----------------------------------------------------------------
def test_a_step_without_a_remote_call_is_taken(work, endpoint):
    job = make_job("UNCONFIRMED", endpoint=endpoint, runpod_id="")
    Job.objects.update(moved_at=now() - HOUR)
    work()
    job.refresh_from_db()
    assert job.status == "PENDING"


def test_a_step_that_waits_for_others_is_not_taken_twice(
    work, monkeypatch, stepped, endpoint
):
    taken = []

    def step(job):
        taken.append(job.pk)
        job.look_again_in(3600)

    monkeypatch.setattr(reconcile, "step", step)
    jobs = queued(8, endpoint, "FINALIZING", unfinished_steps=1)
    stepped.is_patient = False
    work(0.0, 0.0, 0.0)
    assert sorted(taken) == sorted(job.pk for job in jobs)


# --- batches --------------------------------------------------------------------------
def test_items_of_a_batch_become_jobs_that_are_sent(work, backend, endpoint):
    make_batch([{"text": "a"}, {"text": "b"}], endpoint=endpoint)
    work(0.0)
    assert backend.counts()["run"] == 2


def test_batches_are_brought_on_twice_a_second_also_after_an_error(
    work, monkeypatch, stepped
):
    at = []

    def feed():
        at.append(round(stepped.now - 1000, 1))
        raise OperationalError

    monkeypatch.setattr(batches, "feed", feed)
    work(*[0.0] * 6)
    assert at == [0.0, 0.6, 1.2]


# --- troubles -------------------------------------------------------------------------
def test_a_database_error_of_one_job_stops_no_other(
    work, monkeypatch, caplog, backend, endpoint
):
    heard = sync.heard

    def fail_once(job, *args):
        monkeypatch.setattr(sync, "heard", heard)
        raise OperationalError("locked")

    monkeypatch.setattr(sync, "heard", fail_once)
    for job in queued(2, endpoint):
        backend.says("IN_PROGRESS", job.attempts.get().runpod_id)
    work(all_due)
    assert set(Job.objects.values_list("status", "unfinished_steps")) == {
        ("IN_PROGRESS", 0)
    }
    assert "database: OperationalError" in caplog.text


def test_a_strange_refusal_is_told_to_the_operator_until_a_job_is_known_there(
    work, backend, endpoint
):
    backend.answers["status"] = 418, {}
    make_job("IN_QUEUE", endpoint=endpoint)
    work()
    assert Alert.objects.get(resolved_at=None).code == "no_answers"
    backend.answers["status"] = 200, {"id": "job-u1", "status": "IN_QUEUE"}
    work(30.0, all_due)
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_an_endpoint_that_is_back_is_marked_reachable(work, backend, endpoint):
    Endpoint.objects.update(unreachable_at=now(), not_found_count=2)
    make_job("IN_QUEUE", endpoint=endpoint)
    work()
    endpoint.refresh_from_db()
    assert (endpoint.unreachable_at, endpoint.not_found_count) == (None, 0)


def test_of_an_endpoint_that_is_away_one_job_probes_at_a_time(work, backend, endpoint):
    backend.answers.update(run=ENDPOINT_NOT_FOUND, health=ENDPOINT_NOT_FOUND)
    queued(3, endpoint, "PENDING")
    work()
    assert backend.counts()["run"] == 3
    work(7.0, all_due, all_due)
    assert backend.counts()["run"] == 4


def test_endpoints_do_not_wait_for_each_other(work, backend, other_backend, endpoint):
    other = make_endpoint("other", api_base=other_backend.url, release_window=None)
    backend.answers["status"] = HOLD
    make_job("IN_QUEUE", endpoint=endpoint)
    make_job("IN_QUEUE", endpoint=other, runpod_id="other")
    work(backend.let_go.set)
    assert other_backend.asked() == ["other"]


def test_the_one_call_after_a_pause_goes_to_a_held_job_if_no_question_is_due(
    work, backend, endpoint
):
    backend.answers["status"] = 418, {}
    make_job("IN_QUEUE", endpoint=endpoint)

    def hold_another():
        Job.objects.update(due_at=now() + HOUR)
        make_job(endpoint=endpoint)

    work(hold_another, 30.0)
    assert backend.counts()["run"] == 1
