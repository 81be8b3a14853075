"""Batches: items become jobs a few at a time, each once, and are counted truly."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.lib.errors import EndpointPaused, InvalidInput, TooLarge
from jobs.models import Batch, BatchChunk, Job
from jobs.services.batching import batch_inputs, batch_json, batches
from jobs.services.lifecycle import release, retention
from jobs.states import Actor, JobStatus
from tests.factories import (
    SCHEMA,
    make_batch,
    make_endpoint,
    make_job,
    make_upload,
    make_user,
)

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def make(count=3, **fields):
    return make_batch([{"n": n} for n in range(count)], **fields)


def counted(batch):
    batch.refresh_from_db()
    counts = batch_json.counts([batch])[batch.pk]
    return batch_json.status_of(batch, counts), {k: v for k, v in counts.items() if v}


def end(job, status=JobStatus.COMPLETED):
    """Bring a held job to an end by legal moves."""
    assert job.advance(JobStatus.SUBMITTING, by=Actor.SUBMITTER, attempt_no=1)
    assert job.advance(JobStatus.IN_QUEUE, by=Actor.SUBMITTER)
    if status == JobStatus.COMPLETED:
        assert job.advance(JobStatus.FINALIZING, by=Actor.SYNC)
        assert job.advance(status, by=Actor.COLLECTOR)
    else:
        assert job.advance(status, by=Actor.SYNC)


def test_every_item_becomes_one_job_in_its_order():
    batch = make(450, metadata={"run": "1"})
    assert counted(batch) == ("PENDING", {"waiting": 450})
    for _ in range(5):
        batches.feed()
    jobs = list(batch.jobs.order_by("batch_index"))
    assert [job.input["n"] for job in jobs] == list(range(450))
    assert [job.batch_index for job in jobs] == list(range(450))
    assert {job.events.count() for job in jobs} == {1}
    assert jobs[0].metadata == {"run": "1"}
    assert not BatchChunk.objects.exists()
    assert counted(batch) == ("RUNNING", {"active": 450})


def test_only_so_many_are_on_their_way():
    batch = make(10, workers=4)
    for _ in range(3):
        batches.feed()
    assert batch.jobs.count() == 4
    end(batch.jobs.first())
    batches.feed()
    assert batch.jobs.count() == 5
    assert counted(batch) == ("RUNNING", {"waiting": 5, "active": 4, "completed": 1})


def test_a_feed_that_was_overtaken_makes_nothing_twice():
    batch = make(5)
    stale = Batch.objects.select_related("endpoint", "owner").get(pk=batch.pk)
    batches.feed()
    batches._make_jobs(stale)
    assert batch.jobs.count() == 5


def test_it_ends_when_the_last_job_has():
    batch = make(3)
    batches.feed()
    for job in batch.jobs.all()[:2]:
        end(job)
    batches.feed()
    batch.refresh_from_db()
    assert batch.ended_at is None
    end(batch.jobs.exclude(status="COMPLETED").get())
    batches.feed()
    batch.refresh_from_db()
    assert batch.ended_at is not None
    assert counted(batch) == ("COMPLETED", {"completed": 3})


def test_only_the_failed_ones_are_run_again():
    batch = make(4)
    batches.feed()
    for job in batch.jobs.all():
        is_odd = job.batch_index % 2
        end(job, JobStatus.FAILED if is_odd else JobStatus.COMPLETED)
    batches.feed()
    assert counted(batch)[0] == "COMPLETED_WITH_FAILURES"
    assert batches.retry_failed(batch) == 2
    assert counted(batch) == ("RUNNING", {"active": 2, "completed": 2})
    again = list(batch.jobs.filter(is_replaced=False, status="PENDING"))
    assert sorted(job.batch_index for job in again) == [1, 3]
    assert all(job.source_job.batch_index == job.batch_index for job in again)
    for job in again:
        end(job)
    batches.feed()
    assert counted(batch) == ("COMPLETED", {"completed": 4})
    batch.refresh_from_db()
    assert batch.ended_at is not None
    assert batches.retry_failed(batch) == 0


def test_cancelling_stops_what_is_there_and_begins_nothing_more():
    batch = make(10, workers=3)
    batches.feed()
    end(batch.jobs.first())
    batches.request_cancel(batch)
    batches.feed()
    assert counted(batch) == ("CANCELLED", {"completed": 1, "cancelled": 9})
    batch.refresh_from_db()
    assert batch.ended_at is not None
    assert batch.jobs.count() == 3


def test_a_cancelled_batch_goes_on_with_what_it_had_not_begun():
    batch = make(6, workers=2)
    batches.feed()
    batches.request_cancel(batch)
    batches.feed()
    assert batches.retry_failed(batch) == 2
    for _ in range(4):
        batches.feed()
        for job in batch.jobs.filter(status="PENDING"):
            end(job)
    batches.feed()
    assert counted(batch) == ("COMPLETED", {"completed": 6})


def test_a_bad_item_is_named_and_nothing_is_created():
    endpoint = make_endpoint(input_schema=SCHEMA)
    upload = f"upload:{make_upload().pk}"
    items = [{"media": upload}, {"media": upload, "stlye": 1}, {}]
    with pytest.raises(InvalidInput) as caught:
        make_batch(items, endpoint=endpoint)
    assert [one.pointer for one in caught.value.problems] == [
        "/items/1/stlye",
        "/items/2/media",
    ]
    assert not Batch.objects.exists()


def test_too_many_items_or_a_paused_endpoint_are_refused(settings):
    settings.JOBS_BATCH_MAX_ITEMS = 2
    make(2)
    with pytest.raises(TooLarge):
        make(3)
    with pytest.raises(EndpointPaused):
        make_batch(
            [{}],
            endpoint=make_endpoint("off", is_active=False),
        )


def test_files_of_items_stay_and_belong_to_their_jobs():
    upload = make_upload()
    assert upload.expires_at is not None
    endpoint = make_endpoint()
    items = [{"media": f"upload:{upload.pk}"}] * 2
    batch = make_batch(items, endpoint=endpoint)
    upload.refresh_from_db()
    assert upload.expires_at is None
    batches.feed()
    assert {job.uploads.get() for job in batch.jobs.all()} == {upload}


def test_others_do_not_wait_for_a_batch():
    batch = make(50)
    batches.feed()
    endpoint = batch.endpoint
    other = make_job(
        owner=make_user("bob"),
        turn=release.next_turn(endpoint, make_user("bob"), 1),
    )
    first = release.pick(endpoint, 3)
    assert other in first


def test_feeding_takes_a_constant_number_of_queries(django_assert_max_num_queries):
    make(200)
    # SQLite takes an insert of so many rows in several pieces.
    with django_assert_max_num_queries(24):
        batches.feed()
    assert Job.objects.count() == 200
    with django_assert_max_num_queries(4):
        batches.feed()


def test_checking_many_items_asks_for_their_files_once(
    django_assert_max_num_queries,
):
    endpoint = make_endpoint(input_schema=SCHEMA)
    items = [{"media": f"upload:{make_upload().pk}"} for _ in range(20)]
    alice = make_user()
    with django_assert_max_num_queries(1):
        batch_inputs.inputs_of(endpoint, items, owner=alice)


def test_jobs_gone_by_age_are_counted_as_deleted_and_the_batch_goes_last():
    batch = make(2)
    batches.feed()
    for job in batch.jobs.all():
        end(job)
    batches.feed()
    batch.jobs.first().delete()
    assert counted(batch) == ("COMPLETED", {"completed": 1, "deleted": 1})
    retention.sweep()
    assert Batch.objects.exists()
    batch.jobs.all().delete()
    Batch.objects.update(ended_at=now() - timedelta(days=2))
    retention.sweep()
    assert not Batch.objects.exists()


def test_a_batch_whose_failed_items_run_again_does_not_end_meanwhile(monkeypatch):
    batch = make(2)
    batches.feed()
    for job in batch.jobs.all():
        end(job, JobStatus.FAILED)
    locked = batches._locked

    def first_the_other(one):
        monkeypatch.setattr(batches, "_locked", locked)
        batches.retry_failed(Batch.objects.get(pk=one.pk))
        return locked(one)

    monkeypatch.setattr(batches, "_locked", first_the_other)
    batches.feed()
    assert counted(batch) == ("RUNNING", {"active": 2})
    assert batch.ended_at is None


def test_a_batch_that_cannot_go_on_holds_up_no_other(monkeypatch):
    bad, good = make(2), make(2)
    make_jobs = batches._make_jobs

    def broken(batch):
        if batch.pk == bad.pk:
            raise RuntimeError("unforeseen")
        make_jobs(batch)

    monkeypatch.setattr(batches, "_make_jobs", broken)
    batches.feed()
    assert (bad.jobs.count(), good.jobs.count()) == (0, 2)


def test_a_batch_does_not_end_while_failed_items_wait_to_be_run_again(monkeypatch):
    batch = make(2)
    batches.feed()
    for job in batch.jobs.all():
        end(job, JobStatus.FAILED)
    locked = batches._locked

    def asked_meanwhile(one):
        """Before this lock was had, somebody asked; the jobs are not made yet."""
        monkeypatch.setattr(batches, "_locked", locked)
        Batch.objects.update(retry_requested_at=now())
        return locked(one)

    monkeypatch.setattr(batches, "_locked", asked_meanwhile)
    batches._end_if_done(Batch.objects.get())
    batch.refresh_from_db()
    assert batch.ended_at is None
    batches.feed()
    assert counted(batch) == ("RUNNING", {"active": 2})


def test_counts_stay_true_while_items_become_jobs():
    batch = make(5, workers=3)
    stale = Batch.objects.get()
    batches.feed()
    counts = batch_json.counts([stale])[batch.pk]
    assert {k: v for k, v in counts.items() if v} == {"waiting": 2, "active": 3}
