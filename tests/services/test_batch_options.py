"""What a batch may ask for: attempts, a time limit, a second endpoint."""

from collections import Counter
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils.timezone import now

from jobs.models import Batch, Endpoint, JobEvent
from jobs.services.batching import batch_json, batches
from jobs.services.lifecycle import jobs, sync
from jobs.states import Actor, JobStatus
from tests.factories import make_batch, make_endpoint, make_user
from tests.services.test_batches import end

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def failing(job, code, *, retryable=False):
    """Let one more attempt of a job fail; return where it is then."""
    job.refresh_from_db()
    number = job.attempt_no + 1
    attempt = job.attempts.create(number=number)
    assert job.advance(JobStatus.SUBMITTING, by=Actor.SUBMITTER, attempt_no=number)
    assert job.advance(JobStatus.IN_QUEUE, by=Actor.SUBMITTER)
    sync.fail(job, attempt, code, f"attempt {number} on /tmp/{job.pk}", retryable)
    return job.status


@pytest.mark.parametrize(
    ("most", "code", "retryable", "ends"),
    [
        (None, "worker_error", False, ["FAILED"]),
        (None, "worker_lost", True, ["PENDING", "FAILED"]),
        (3, "worker_error", False, ["PENDING", "PENDING", "FAILED"]),
        (1, "worker_lost", True, ["FAILED"]),
        (3, "invalid_input", False, ["FAILED"]),
        (3, "too_large", False, ["FAILED"]),
    ],
)
def test_a_job_is_tried_as_often_as_its_batch_says(most, code, retryable, ends):
    endpoint = make_endpoint(max_attempts=2)
    batch = make_batch([{"n": 1}], endpoint=endpoint, max_attempts=most)
    batches.feed()
    job = batch.jobs.select_related("endpoint").get()
    assert [failing(job, code, retryable=retryable) for _ in ends] == ends


def test_a_completion_that_fails_is_not_tried_again_by_itself():
    endpoint = make_endpoint(max_attempts=2)
    options = {"batch_size": 1, "max_attempts": 5, "has_completion": True}
    batch = make_batch([1], endpoint=endpoint, **options)
    batches.feed()
    end(batch.jobs.get())
    batches.feed()
    last = batch.jobs.select_related("endpoint").get(batch_index=None)
    assert failing(last, "worker_error") == "FAILED"
    batches.retry_failed(batch)
    batches.feed()
    last = batch.jobs.select_related("endpoint").get(batch_index=None, status="PENDING")
    assert failing(last, "worker_lost", retryable=True) == "PENDING"


def test_a_completion_that_was_deleted_by_age_is_not_made_again():
    batch = make_batch([1, 2], batch_size=1, has_completion=True)
    batches.feed()
    first, second = batch.jobs.order_by("batch_index")
    end(first)
    end(second, JobStatus.FAILED)
    batches.feed()
    end(batch.jobs.get(batch_index=None))
    batches.feed()
    batch.jobs.filter(batch_index=None).delete()
    batches.retry_failed(batch)
    end(batch.jobs.get(status="PENDING"))
    batches.feed()
    batch.refresh_from_db()
    assert batch.ended_at
    assert not batch.jobs.filter(batch_index=None).exists()


def test_failures_that_differ_in_names_and_numbers_are_one_group():
    batch = make_batch([{"n": n} for n in range(3)])
    batches.feed()
    for job in batch.jobs.select_related("endpoint"):
        failing(job, "worker_error")
    (group,) = batch_json.failures(batch)
    assert (group.number, group.signature) == (3, "attempt <n> on <path>")
    assert group.is_retryable


def test_one_group_of_failures_is_run_again_alone():
    batch = make_batch([{"n": n} for n in range(4)])
    batches.feed()
    for job in batch.jobs.select_related("endpoint"):
        failing(job, "out_of_memory" if job.batch_index == 2 else "worker_error")
    only = batch_json.FailureGroup("out_of_memory", "attempt <n> on <path>", 1, 2, "")
    assert batches.retry_failed(batch, only.condition) == 1
    active = batch.jobs.filter(status="PENDING")
    assert [job.batch_index for job in active] == [2]


def test_many_failed_items_are_run_again_as_there_is_room():
    batch = make_batch([{"n": n} for n in range(10)])
    batches.feed()
    for job in batch.jobs.all():
        end(job, JobStatus.FAILED)
    batches.feed()
    Batch.objects.update(in_flight=3)
    batch.refresh_from_db()
    assert batches.retry_failed(batch) == 10
    for left in (7, 4, 1, 0):
        active = batch.jobs.filter(status="PENDING")
        assert active.count() == (3 if left else 1)
        for job in active:
            end(job, JobStatus.FAILED)  # again: these are not run a third time
        batches.feed()
    batches.feed()
    batch.refresh_from_db()
    assert batch.ended_at
    assert batch.jobs.count() == 20
    counted = batch_json.counts([batch])[batch.pk]
    assert counted["failed"] == 10


def test_cancelling_also_ends_what_was_to_be_run_again():
    batch = make_batch([{"n": n} for n in range(5)])
    batches.feed()
    for job in batch.jobs.all():
        end(job, JobStatus.FAILED)
    batches.feed()
    Batch.objects.update(in_flight=2)
    batch.refresh_from_db()
    batches.retry_failed(batch)
    batches.request_cancel(batch)
    batches.feed()
    batches.feed()
    batch.refresh_from_db()
    assert batch.ended_at
    assert batch.jobs.count() == 7


def test_over_its_time_a_batch_is_stopped_and_what_ended_stays():
    batch = make_batch([{"n": n} for n in range(4)], workers=2, timeout_seconds=60)
    batches.feed()
    end(batch.jobs.first())
    batches.feed()
    Batch.objects.update(created_at=now() - timedelta(seconds=61))
    batches.feed()
    batches.feed()
    batch.refresh_from_db()
    counted = batch_json.counts([batch])[batch.pk]
    assert batch_json.status_of(batch, counted) == "TIMED_OUT"
    assert (counted["completed"], counted["cancelled"]) == (1, 3)
    # Run again by a person it has no limit any more.
    assert batches.retry_failed(batch) == 2
    batches.feed()
    batch.refresh_from_db()
    counted = batch_json.counts([batch])[batch.pk]
    assert batch_json.status_of(batch, counted) == "RUNNING"


def test_the_speed_of_the_last_minutes_promises_an_end():
    batch = make_batch([{"n": n} for n in range(10)])
    batches.feed()
    Batch.objects.update(created_at=now() - timedelta(minutes=2))
    batch.refresh_from_db()
    for job in list(batch.jobs.all())[:4]:
        end(job)
        began = job.finished_at - timedelta(seconds=3)
        batch.jobs.filter(pk=job.pk).update(started_at=began)
    counted = batch_json.counts([batch])[batch.pk]
    speed = batch_json.speed(batch, counted)
    assert speed.per_minute == pytest.approx(2, abs=0.1)
    assert speed.run_seconds == pytest.approx(3, abs=0.1)
    minutes = (speed.ends_at - now()).total_seconds() / 60
    assert minutes == pytest.approx(3, abs=0.2)


def test_no_speed_promises_nothing():
    batch = make_batch([{"n": 1}])
    speed = batch_json.speed(batch, batch_json.counts([batch])[batch.pk])
    assert (speed.per_minute, speed.run_seconds, speed.ends_at) == (0, None, None)


# --- two endpoints --------------------------------------------------------------------
def pair(**fields):
    second = make_endpoint("home", max_workers=1)
    return make_endpoint("cloud", max_workers=3, overflow=second, **fields), second


def test_a_batch_is_shared_in_proportion_to_the_workers():
    first, _ = pair()
    batch = make_batch([{"n": n} for n in range(8)], endpoint=first)
    batches.feed()
    rows = batch.jobs.values_list("endpoint__slug", flat=True)
    assert Counter(rows) == {"cloud": 6, "home": 2}


def test_neither_endpoint_sits_on_a_pile_while_the_other_has_nothing_to_do():
    first, second = pair()
    batch = make_batch([{"n": n} for n in range(100)], endpoint=first)
    for _ in range(3):
        batches.feed()
    assert batch.jobs.count() == 24  # 13 and 11: workers and a margin
    for job in batch.jobs.filter(endpoint=second):
        end(job)
    batches.feed()
    assert batch.jobs.filter(endpoint=second).count() == 22
    assert batch.jobs.filter(endpoint=first).count() == 13


def test_where_the_first_is_gone_the_other_takes_all():
    first, second = pair()
    Endpoint.objects.filter(pk=first.pk).update(
        unreachable_at=now() - timedelta(minutes=5), not_found_count=9
    )
    batch = make_batch([{"n": n} for n in range(20)], endpoint=first)
    batches.feed()
    assert {job.endpoint_id for job in batch.jobs.all()} == {second.pk}


@pytest.mark.parametrize("change", [{"is_active": False}, {"unreachable": True}])
def test_an_overflow_that_cannot_take_any_gets_none(change):
    first, second = pair()
    if "unreachable" in change:
        long_ago = now() - timedelta(minutes=5)
        change = {"unreachable_at": long_ago, "not_found_count": 9}
    Endpoint.objects.filter(pk=second.pk).update(**change)
    batch = make_batch([{"n": n} for n in range(20)], endpoint=first)
    batches.feed()
    assert {job.endpoint_id for job in batch.jobs.all()} == {first.pk}


def test_an_item_that_is_run_again_stays_at_its_endpoint():
    first, second = pair()
    batch = make_batch([{"n": n} for n in range(8)], endpoint=first)
    batches.feed()
    for job in batch.jobs.all():
        end(job, JobStatus.FAILED)
    batches.retry_failed(batch)
    again = batch.jobs.filter(is_replaced=False)
    assert Counter(job.endpoint_id for job in again) == {first.pk: 6, second.pk: 2}


def test_only_an_endpoint_with_the_same_handler_takes_over():
    second = make_endpoint("other", runner="other")
    first = make_endpoint("one", overflow=second)
    with pytest.raises(ValidationError, match="same runner"):
        first.full_clean()
    Endpoint.objects.filter(pk=second.pk).update(runner=first.runner)
    second.refresh_from_db()
    first.overflow = second
    first.full_clean()
    first.overflow = first
    with pytest.raises(ValidationError, match="Choose another endpoint"):
        first.full_clean()


def test_a_payload_that_a_person_runs_again_has_the_config_of_its_batch():
    batch = make_batch([1, 2], batch_size=2, config={"a": 1})
    batches.feed()
    job = batch.jobs.get()
    end(job, JobStatus.FAILED)
    batches.feed()
    again = jobs.run_again(job, owner=make_user())
    again.refresh_from_db()
    assert again.batch == batch
    assert batch_json.counts([batch])[batch.pk]["failed"] == 1
    assert JobEvent.objects.filter(job=again).count() == 1
