"""What a worker with our handler tells of its attempt, and what RunPod's webhook does."""

import uuid
from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.lib.errors import Conflict, NotFound
from jobs.models import Attempt
from jobs.services.lifecycle import attempts
from tests.factories import SCHEMA, make_endpoint, make_job, make_upload
from tests.rows import ago, is_in, reread
from tests.services.test_sync import manifest
from tests.services.test_winning import second_attempt

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def current(job):
    """Return the job's current attempt, as a worker's request finds it."""
    return attempts.find(job.attempts.get(number=job.attempt_no).pk.hex)


def claim(attempt, worker="w", runpod_id=""):
    attempts.claim(attempt, worker_id=worker, runpod_id=runpod_id)
    return reread(attempt)


# --- finding -----------------------------------------------------------------------------
@pytest.mark.parametrize("pk", ["", "nonsense", "0" * 32])
def test_an_attempt_that_is_not_there_is_not_found(pk):
    make_job("IN_QUEUE")
    with pytest.raises(NotFound, match="attempt does not exist"):
        attempts.find(pk)


# --- claiming ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "becomes"),
    [
        ("SUBMITTING", "SUBMITTING"),
        ("UNCONFIRMED", "IN_PROGRESS"),
        ("IN_QUEUE", "IN_PROGRESS"),
        ("IN_PROGRESS", "IN_PROGRESS"),
        ("FINALIZING", "FINALIZING"),
    ],
)
def test_a_claim_moves_what_runpod_has(status, becomes):
    job = make_job(status)
    claim(current(job))
    assert (reread(job).status, job.events.count()) == (becomes, int(status != becomes))


def test_a_claim_is_remembered_with_its_worker():
    job, since = make_job("IN_QUEUE", runpod_id=""), now()
    attempt = claim(current(job), "w" * 200, "i" * 200)
    assert (attempt.worker_id, attempt.runpod_id) == ("w" * 128, "i" * 128)
    assert is_in(attempt.claimed_at, 0, since=since)
    assert is_in(reread(job).started_at, 0, since=since)


def test_a_claim_is_of_one_attempt():
    other = make_job("IN_QUEUE", runpod_id="other")
    claim(current(make_job("IN_QUEUE", runpod_id="third")))
    assert (other.attempts.get().claimed_at, reread(other).status) == (None, "IN_QUEUE")


@pytest.mark.parametrize("claimed", ["", "another"])
def test_a_claim_does_not_change_the_id_that_runpod_gave(claimed):
    attempt = claim(current(make_job("IN_QUEUE")), runpod_id=claimed)
    assert (attempt.runpod_id, attempt.is_unwanted) == ("job-u1", False)


def test_another_worker_may_claim_what_was_delivered_again():
    job = make_job("IN_QUEUE")
    claim(current(job), "first")
    assert claim(current(job), "second").worker_id == "second"


def test_an_attempt_with_a_result_is_done():
    attempt = current(make_job("IN_QUEUE"))
    attempt.manifest = manifest(output=1)
    with pytest.raises(Conflict) as refused:
        claim(attempt)
    assert (refused.value.code, reread(attempt).claimed_at) == ("done", None)


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"])
def test_an_attempt_of_an_ended_job_is_over(status):
    attempt = current(make_job(status))
    with pytest.raises(Conflict) as refused:
        claim(attempt)
    assert (refused.value.code, reread(attempt).claimed_at) == ("over", None)


@pytest.mark.parametrize(
    ("known", "claimed", "stops"),
    [
        ("", "late", ["late"]),
        ("", "", []),
        ("known", "late", []),
        ("", "x" * 200, ["x" * 128]),
    ],
)
def test_a_late_worker_is_stopped_by_an_id_that_was_not_known(known, claimed, stops):
    _, first, _ = second_attempt("IN_QUEUE")
    make_job("UNCONFIRMED", runpod_id="")
    Attempt.objects.filter(pk=first.pk).update(runpod_id=known)
    with pytest.raises(Conflict):
        claim(attempts.find(first.pk.hex), runpod_id=claimed)
    assert [attempt.runpod_id for attempt in attempts.unwanted(9)] == stops


# --- fresh links -------------------------------------------------------------------------
def test_a_working_worker_gets_fresh_links():
    upload = make_upload()
    endpoint, input = (
        make_endpoint(input_schema=SCHEMA),
        {"media": f"upload:{upload.pk}"},
    )
    job = make_job("IN_PROGRESS", endpoint=endpoint, input=input)
    assert attempts.fresh_links(current(job))["media"].startswith("http://testserver/")


def test_a_worker_whose_attempt_is_over_gets_none():
    _, first, _ = second_attempt("IN_PROGRESS")
    for attempt in (first, current(make_job("COMPLETED"))):
        with pytest.raises(Conflict) as refused:
            attempts.fresh_links(attempt)
        assert refused.value.code == "over"


# --- progress ----------------------------------------------------------------------------
def test_progress_is_kept_if_it_is_newer_and_makes_the_page_look():
    job = make_job("IN_PROGRESS", progress_seq=5)
    for seq in (5, 6, 6):
        assert attempts.report_progress(
            current(job), {"seq": seq, "fraction": seq / 10}
        )
    job = reread(job)
    assert (job.progress, job.progress_seq) == ({"seq": 6, "fraction": 0.6}, 6)
    assert job.revision == 1


def test_progress_of_an_earlier_attempt_is_not_shown_and_stops_its_worker():
    job, first, _ = second_attempt("IN_PROGRESS")
    assert not attempts.report_progress(first, {"seq": 9})
    assert reread(job).progress == {}


def test_progress_after_the_end_is_not_shown_and_stops_the_worker():
    job = make_job("TIMED_OUT")
    assert not attempts.report_progress(current(job), {"seq": 9})
    assert reread(job).progress == {}


def test_progress_of_one_job_says_nothing_of_another():
    job, other = make_job("IN_PROGRESS"), make_job("IN_PROGRESS", runpod_id="other")
    assert attempts.report_progress(current(job), {"seq": 9})
    assert reread(other).progress_seq == 0


# --- finishing ---------------------------------------------------------------------------
@pytest.mark.parametrize("status", ["IN_PROGRESS", "TIMED_OUT"])
def test_a_manifest_ends_the_attempt_even_after_the_job(status):
    job, since = make_job(status), now()
    assert attempts.finish(current(job), manifest(output=1))
    assert is_in(job.attempts.get().ended_at, 0, since=since)


def test_a_worker_that_was_stopped_by_its_backend_leaves_room_for_a_result():
    job = make_job("IN_PROGRESS")
    stopped = {"code": "cancelled", "message": "stopped", "retryable": False}
    assert not attempts.finish(current(job), manifest(error=stopped))
    assert attempts.finish(current(job), manifest(output=1))
    assert reread(job).status == "COMPLETED"


def test_any_other_error_is_taken_without_anybody_having_asked():
    job = make_job("IN_PROGRESS")
    error = {"code": "worker_error", "message": "boom", "retryable": False}
    assert attempts.finish(current(job), manifest(error=error))
    assert reread(job).status == "FAILED"


def test_a_result_is_welcome_though_somebody_had_asked_to_cancel():
    job = make_job("IN_PROGRESS", cancel_requested_at=now())
    assert attempts.finish(current(job), manifest(output=1))
    assert reread(job).status == "COMPLETED"


# --- the doorbell ------------------------------------------------------------------------
def ring(*rung, id=""):
    return attempts.ring({pk: lambda: id for pk in rung})


def test_a_ring_is_heard_by_its_own_job_alone():
    later, since = now() + timedelta(hours=1), now()
    rung, other = (
        make_job("IN_QUEUE", due_at=later, runpod_id=name) for name in ("rung", "other")
    )
    assert ring(rung.attempts.get().pk) == {rung.attempts.get().pk}
    assert is_in(reread(rung).due_at, 0, since=since)
    assert is_in(rung.attempts.get().rung_at, 0, since=since)
    assert (reread(other).due_at, other.attempts.get().rung_at) == (later, None)


def test_a_ring_for_what_is_due_already_makes_it_due_anew():
    job, since = make_job("IN_QUEUE", due_at=ago(60)), now()
    ring(job.attempts.get().pk)
    assert reread(job).due_at >= since


def test_a_ring_for_nobody_is_heard_by_nobody():
    assert ring(uuid.uuid4()) == set()


def test_a_ring_after_the_end_is_counted_and_moves_nothing():
    job = make_job("COMPLETED")
    ring(job.attempts.get().pk)
    assert (reread(job).due_at, bool(job.attempts.get().rung_at)) == (None, True)


def test_who_rings_is_asked_for_an_id_only_where_none_is_known():
    known, unknown, other = (
        make_job("UNCONFIRMED", runpod_id=id) for id in ("known", "", "")
    )
    asked = []
    pks = [job.attempts.get().pk for job in (known, unknown)]
    attempts.ring({pk: lambda pk=pk: asked.append(pk) or "i" * 200 for pk in pks})
    assert asked == [pks[1]]
    ids = [job.attempts.get().runpod_id for job in (known, unknown, other)]
    assert ids == ["known", "i" * 128, ""]


def test_many_rings_take_three_queries(django_assert_num_queries):
    rows = [make_job("IN_QUEUE", runpod_id=f"j{n}") for n in range(5)]
    pks = [job.attempts.get().pk for job in rows]
    with django_assert_num_queries(3):
        ring(*pks)


# --- losers ------------------------------------------------------------------------------
def test_losers_are_stopped_a_few_at_a_time_and_once():
    job = make_job("IN_PROGRESS", attempt_no=3, runpod_id="winner")
    for number in (1, 2):
        fields = {"number": number, "runpod_id": f"loser-{number}", "is_unwanted": True}
        Attempt.objects.create(job=job, **fields)
    (first,), since = attempts.unwanted(1), now()
    attempts.stopped(first)
    assert is_in(reread(first).ended_at, 0, since=since)
    (second,) = attempts.unwanted(9)
    assert {first.number, second.number} == {1, 2}
    assert reread(second).ended_at is None


def test_a_loser_without_an_id_cannot_be_stopped():
    job = make_job("IN_PROGRESS", runpod_id="")
    job.attempts.update(is_unwanted=True)
    assert attempts.unwanted(9) == []
