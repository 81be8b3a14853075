"""The queue of a local endpoint: what becomes of an item, whoever asks, in any order."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.local_endpoint import queue
from jobs.models import QueueItem
from jobs.models.queue_item import QueueChunk
from tests.factories import make_local
from tests.interleaving import just_before
from tests.local_endpoint.items import (
    ALL,
    ENDS,
    UPDATE,
    about,
    fresh,
    item_in,
    put,
    running,
)

pytestmark = [pytest.mark.db, pytest.mark.django_db]


# --- in ---------------------------------------------------------------------------
def test_an_item_is_queued_as_it_was_sent():
    endpoint = make_local("gpu-2", queue="shared")
    policy = {"ttl": 60_000}
    item = queue.put(endpoint, {"a": 1}, policy=policy, webhook="http://x/")
    item = fresh(item)
    assert (item.endpoint_slug, item.queue) == ("gpu-2", "shared")
    assert (item.input, item.policy, item.webhook) == ({"a": 1}, policy, "http://x/")
    assert (item.status, item.has_output, item.deliveries) == ("IN_QUEUE", False, 0)


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (600_000, 600),
        (900_000.5, 900),
        (1, 0),
        *((wrong, 86400) for wrong in (0, -5, "600000", None)),
    ],
)
def test_an_item_lives_for_its_ttl_or_a_day(ttl, seconds):
    item = fresh(put(ttl=ttl))
    assert item.expires_at.timestamp() == about(seconds)


def test_an_item_is_looked_for_at_its_endpoint_while_it_lives():
    item = put()
    assert queue.find("gpu", item.pk) == item
    assert queue.find("other", item.pk) is None
    assert queue.find("gpu", "unknown") is None
    QueueItem.objects.update(expires_at=now())
    assert queue.find("gpu", item.pk) is None


# --- out --------------------------------------------------------------------------
def test_only_waiting_items_of_a_queue_make_a_worker_look():
    assert not queue.has_waiting("gpu")
    item_in("IN_PROGRESS")
    put("other")
    assert not queue.has_waiting("gpu")
    put()
    assert queue.has_waiting("gpu")


def test_the_oldest_items_are_handed_out_first_and_no_more_than_asked_for():
    items = [put() for _ in range(3)]
    QueueItem.objects.filter(pk=items[2].pk).update(
        created_at=now() - timedelta(minutes=1)
    )
    taken = queue.take("gpu", "w1", 2)
    assert [item.pk for item in taken] == [items[2].pk, items[0].pk]
    assert queue.take("gpu", "w1", 0) == []
    assert [item.pk for item in queue.take("gpu", "w2", 5)] == [items[1].pk]


def test_an_item_that_is_handed_out_says_who_has_it(settings):
    settings.JOBS_ITEM_ACK_SECONDS = 1000
    item = running("w7")
    for seen in (item, fresh(item)):
        assert (seen.status, seen.worker_id) == ("IN_PROGRESS", "w7")
        assert (seen.deliveries, seen.is_stop_wanted) == (1, False)
        assert seen.taken_at.timestamp() == about(0)
        assert seen.lease_until.timestamp() == about(1000)


@pytest.mark.parametrize("status", ALL[1:])
def test_what_does_not_wait_is_not_handed_out(status):
    item_in(status)
    assert queue.take("gpu", "w1", 1) == []


def test_items_of_other_queues_and_past_their_ttl_are_not_handed_out():
    put("other")
    QueueItem.objects.filter(pk=put().pk).update(expires_at=now())
    assert queue.take("gpu", "w1", 5) == []


def test_who_comes_second_takes_the_next_item():
    first, second = put(), put()
    quicker = []
    with just_before(UPDATE, lambda: quicker.extend(queue.take("gpu", "w2", 1))):
        taken = queue.take("gpu", "w1", 1)
    assert [item.pk for item in quicker] == [first.pk]
    assert [item.pk for item in taken] == [second.pk]
    assert fresh(first).worker_id == "w2"


def test_an_item_that_came_back_meanwhile_is_not_taken_as_it_was_before():
    """Its lease was lost in between: the count of its deliveries has changed."""
    item = put()

    def others():
        queue.take("gpu", "w2", 1)
        queue.release("w2")

    with just_before(UPDATE, others):
        assert queue.take("gpu", "w1", 1) == []
    assert (fresh(item).status, fresh(item).deliveries) == ("IN_QUEUE", 1)


# --- while it runs ----------------------------------------------------------------
def test_progress_is_kept_of_the_worker_that_has_the_item():
    item = running("w1")
    queue.progress("gpu", item.pk, "w2", {"pct": 9})
    queue.progress("other", item.pk, "w1", {"pct": 9})
    assert not fresh(item).has_output
    queue.progress("gpu", item.pk, "w1", {"pct": 5})
    assert (fresh(item).output, fresh(item).has_output) == ({"pct": 5}, True)


@pytest.mark.parametrize("status", ["IN_QUEUE", *ENDS])
def test_progress_of_what_does_not_run_is_dropped(status):
    item = item_in(status, worker_id="w1")
    queue.progress("gpu", item.pk, "w1", {"pct": 5})
    assert (fresh(item).output, fresh(item).has_output) == (None, False)


@pytest.mark.parametrize("status", ALL)
def test_chunks_are_kept_until_the_end_and_no_longer(status):
    item = item_in(status)
    queue.add_chunk("other", item.pk, "x")
    queue.add_chunk("gpu", item.pk, {"n": 1})
    is_open = status not in ENDS
    assert fresh(item).is_stream == is_open
    assert queue.drain_chunks(item) == ([{"n": 1}] if is_open else [])


def test_chunks_are_read_once_in_their_order_a_thousand_at_a_time():
    item, other = running(), put()
    queue.add_chunk("gpu", other.pk, "other's")
    QueueChunk.objects.bulk_create(
        QueueChunk(item_id=item.pk, output=n) for n in range(1003)
    )
    assert queue.drain_chunks(item) == list(range(1000))
    assert queue.drain_chunks(item) == [1000, 1001, 1002]
    assert queue.drain_chunks(item) == []
    assert queue.drain_chunks(other) == ["other's"]


# --- ends -------------------------------------------------------------------------
def test_a_worker_that_ends_its_own_item_is_not_told_to_stop(rung):
    item = running("w1")
    assert rung(lambda: queue.finish("gpu", item.pk, "w1", {"output": 1})) == [item.pk]
    assert fresh(item).status == "COMPLETED"
    assert fresh(item).ended_at.timestamp() == about(0)
    assert queue.stops_for("w1") == []


def test_an_answer_is_taken_once_and_says_so(rung):
    item = running("w1")
    assert queue.finish("gpu", item.pk, "w1", {"error": {"a": 1}}) is True
    late = {"output": 1}
    assert rung(lambda: queue.finish("gpu", item.pk, "w1", late)) == []
    assert queue.finish("gpu", item.pk, "w1", late) is False
    seen = fresh(item)
    assert (seen.status, seen.error) == ("FAILED", {"a": 1})
    assert (seen.output, seen.has_output) == (None, False)


def test_an_answer_for_an_unknown_item_or_another_endpoint_is_not_taken():
    item = running("w1")
    assert queue.finish("other", item.pk, "w1", {}) is False
    assert queue.finish("gpu", "unknown", "w1", {}) is False
    assert fresh(item).status == "IN_PROGRESS"


def test_an_answer_for_an_item_that_waits_again_ends_it_and_stops_nobody():
    item = running("w1")
    queue.release("w1")
    assert queue.finish("gpu", item.pk, "w1", {"output": 1})
    assert (fresh(item).status, fresh(item).is_stop_wanted) == ("COMPLETED", False)


@pytest.mark.parametrize("status", ALL)
def test_cancelling_ends_what_waits_or_runs(rung, status):
    before = item_in(status, worker_id="w1")
    is_open = status not in ENDS
    bells = rung(lambda: queue.cancel("gpu", before.pk))
    after = fresh(before)
    assert bells == ([before.pk] if is_open else [])
    assert after.status == ("CANCELLED" if is_open else status)
    assert after.ended_at
    assert (after.ended_at == before.ended_at) == (not is_open)
    assert queue.stops_for("w1") == ([before.pk] if status == "IN_PROGRESS" else [])


def test_cancelling_needs_the_items_endpoint():
    item = put()
    queue.cancel("other", item.pk)
    assert fresh(item).status == "IN_QUEUE"


@pytest.mark.parametrize("status", ALL)
def test_only_what_failed_or_timed_out_can_be_run_again(status):
    item = item_in(status)
    assert queue.retry("other", item.pk) is False
    can_be = status in {"FAILED", "TIMED_OUT"}
    assert queue.retry("gpu", item.pk) is can_be
    assert fresh(item).status == ("IN_QUEUE" if can_be else status)


def test_what_is_run_again_begins_anew():
    item = running("w1")
    queue.progress("gpu", item.pk, "w1", {"pct": 5})
    queue.release("w1")
    queue.take("gpu", "w1", 1)
    queue.release("w1")
    assert fresh(item).status == "FAILED"
    assert queue.retry("gpu", item.pk)
    seen = fresh(item)
    assert (seen.output, seen.has_output, seen.error) == (None, False, None)
    assert (seen.worker_id, seen.deliveries, seen.ended_at) == ("", 0, None)
    queue.take("gpu", "w2", 1)
    assert queue.stops_for("w2") == []
    queue.release("w2")
    assert fresh(item).status == "IN_QUEUE"


def test_a_purge_forgets_what_waits_at_one_endpoint_and_counts_it():
    kept = [item_in(status) for status in ALL[1:]]
    other = put("other")
    waiting = put()
    queue.add_chunk("gpu", waiting.pk, "x")
    put()
    assert queue.purge("gpu") == 2
    assert queue.purge("gpu") == 0
    pks = set(QueueItem.objects.values_list("pk", flat=True))
    assert pks == {other.pk, *(item.pk for item in kept)}


def test_a_worker_is_told_once_what_to_stop():
    mine, other = running("w1"), running("w2")
    for item in (mine, other):
        queue.cancel("gpu", item.pk)
    assert queue.stops_for("w1") == [mine.pk]
    assert queue.stops_for("w1") == []
    assert queue.stops_for("w2") == [other.pk]


def test_of_two_polls_of_a_worker_one_is_told_what_to_stop():
    item = running("w1")
    queue.cancel("gpu", item.pk)
    quicker = []
    with just_before(UPDATE, lambda: quicker.extend(queue.stops_for("w1"))):
        assert queue.stops_for("w1") == []
    assert quicker == [item.pk]


def test_counts_are_of_one_endpoint_by_runpods_names():
    many = ("COMPLETED",) * 2 + ("FAILED",) * 3 + ("TIMED_OUT",) * 4
    for status in (*many, *("IN_PROGRESS",) * 5, *("IN_QUEUE",) * 6, "CANCELLED"):
        item_in(status)
    QueueItem.objects.filter(status="COMPLETED").update(deliveries=2)
    QueueItem.objects.filter(status="FAILED").update(deliveries=1)
    put("other")
    assert queue.counts("gpu") == {
        "completed": 2,
        "failed": 7,
        "inProgress": 5,
        "inQueue": 6,
        "retried": 2,
    }


def test_busy_workers_are_those_that_hold_an_item_of_the_queue():
    running("w1")
    ended = running("w2")
    queue.finish("gpu", ended.pk, "w2", {})
    queue.put(make_local("other"), {}, policy={}, webhook="")
    queue.take("other", "w3", 1)
    assert queue.busy_workers("gpu") == {"w1"}
