"""How long a worker may keep an item of a local queue, and what happens then."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.local_endpoint import queue
from jobs.models import QueueItem
from tests.interleaving import just_before
from tests.local_endpoint.items import (
    UPDATE,
    about,
    fresh,
    item_in,
    lease,
    put,
    running,
)

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _spans(settings):
    settings.JOBS_ITEM_ACK_SECONDS = 1000
    settings.JOBS_ITEM_LEASE_SECONDS = 2000
    settings.JOBS_ITEM_GONE_SECONDS = 400
    settings.JOBS_ITEM_RESULT_SECONDS = 90_000  # tests look from hours ahead


def in_seconds(seconds):
    return now() + timedelta(seconds=seconds)


def long(worker="w1"):
    """An item that may run for a day."""
    return running(worker, executionTimeout=86_400_000)


def test_a_ping_renews_what_it_names_and_the_worker_holds():
    named, unnamed, others = long(), long(), long("w2")
    queue.renew("w1", [named.pk, others.pk])
    assert lease(named) == about(2000)
    assert (lease(unnamed), lease(others)) == (about(1000), about(1000))


def test_a_ping_renews_nothing_that_has_ended():
    item = long()
    queue.finish("gpu", item.pk, "w1", {})
    queue.renew("w1", [item.pk])
    assert lease(item) == about(1000)


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [(5_000_000, 5000), *((wrong, 600) for wrong in (0, -1, "5000000", None))],
)
def test_a_worker_that_never_pings_is_trusted_until_the_execution_time_out(
    limit, seconds
):
    mine, others = running(executionTimeout=limit), long("w2")
    queue.trust_until_timeout("w1")
    assert lease(mine) == about(seconds)
    assert lease(others) == about(1000)


def test_each_item_of_a_worker_is_trusted_for_its_own_time():
    short, day = running(executionTimeout=5_000_000), long()
    queue.trust_until_timeout("w1")
    assert (lease(short), lease(day)) == (about(5000), about(86_400))


def test_the_items_of_a_worker_that_seems_dead_are_given_up_soon_and_never_later():
    mine, others = long(), long("w2")
    near = long()
    QueueItem.objects.filter(pk=near.pk).update(lease_until=in_seconds(100))
    queue.shorten_leases("w1")
    assert (lease(mine), lease(near)) == (about(400), about(100))
    assert lease(others) == about(1000)


def test_a_worker_that_has_nothing_gives_back_its_own_items_only():
    mine, others = long(), long("w2")
    queue.release("w1")
    seen = fresh(mine)
    assert (seen.status, seen.worker_id, seen.lease_until) == ("IN_QUEUE", "", None)
    assert fresh(others).status == "IN_PROGRESS"


def test_an_item_is_handed_out_as_often_as_is_allowed_then_failed(rung, settings):
    settings.JOBS_ITEM_MAX_DELIVERIES = 3
    item = long()
    for _ in range(2):
        assert rung(lambda: queue.release("w1")) == []
        (again,) = queue.take("gpu", "w1", 1)
        assert again.pk == item.pk
    assert rung(lambda: queue.release("w1")) == [item.pk]
    seen = fresh(item)
    assert (seen.status, seen.error) == ("FAILED", "job timed out after 2 retries")
    assert seen.ended_at.timestamp() == about(0)
    assert queue.stops_for("w1") == [item.pk]


def test_a_lease_that_is_over_is_given_up_at_that_moment_and_not_before():
    item = long()
    over = fresh(item).lease_until
    queue.expire(over - timedelta(microseconds=1))
    assert fresh(item).status == "IN_PROGRESS"
    queue.expire(over)
    assert fresh(item).status == "IN_QUEUE"


def test_an_item_over_its_execution_time_is_timed_out_and_its_worker_stopped(rung):
    item = running(executionTimeout=5_000_000)
    queue.trust_until_timeout("w1")
    over = item.taken_at + timedelta(seconds=5000)
    queue.expire(over - timedelta(microseconds=1))
    assert fresh(item).status == "IN_PROGRESS"
    assert rung(lambda: queue.expire(over)) == [item.pk]
    seen = fresh(item)
    assert (seen.status, seen.error) == (
        "TIMED_OUT",
        "job timed out: over its execution time",
    )
    assert seen.ended_at.timestamp() == about(0)
    assert queue.stops_for("w1") == [item.pk]


def test_the_execution_time_counts_from_the_hand_over_though_pings_go_on():
    QueueItem.objects.filter(pk=put(executionTimeout=60_000).pk).update(
        created_at=in_seconds(-3600)
    )
    (item,) = queue.take("gpu", "w1", 1)
    queue.renew("w1", [item.pk])
    queue.expire(in_seconds(30))
    assert fresh(item).status == "IN_PROGRESS"
    queue.expire(in_seconds(90))
    assert fresh(item).status == "TIMED_OUT"


def test_an_answer_that_comes_while_the_lease_is_given_up_stays():
    item = long()

    def answer():
        queue.finish("gpu", item.pk, "w1", {"output": 1})

    with just_before(UPDATE, answer):
        queue.release("w1")
    assert fresh(item).status == "COMPLETED"


def test_an_answer_that_comes_while_the_item_times_out_stays(rung):
    item = running(executionTimeout=1000)

    def answer():
        queue.finish("gpu", item.pk, "w1", {"output": 1})

    def both():
        with just_before(UPDATE, answer):
            queue.expire(in_seconds(900))

    assert rung(both) == [item.pk]
    assert fresh(item).status == "COMPLETED"


@pytest.mark.parametrize("end", ["release", "expire"])
def test_an_item_that_another_worker_has_by_now_is_left_alone(end):
    item = running(executionTimeout=1000)

    def others():
        QueueItem.objects.update(status="IN_PROGRESS", worker_id="w2", deliveries=7)

    with just_before(UPDATE, others):
        queue.release("w1") if end == "release" else queue.expire(in_seconds(900))
    seen = fresh(item)
    assert (seen.status, seen.worker_id) == ("IN_PROGRESS", "w2")


def test_items_are_forgotten_after_their_ttl_and_results_after_a_while(settings):
    settings.JOBS_ITEM_RESULT_SECONDS = 500
    at = now()
    waits, young = put(), item_in("COMPLETED", ended_at=at - timedelta(seconds=499))
    item_in("COMPLETED", ended_at=at - timedelta(seconds=500))
    item_in("FAILED", ended_at=at - timedelta(seconds=900))
    item_in("IN_QUEUE", expires_at=at)
    later = item_in("IN_QUEUE", expires_at=at + timedelta(seconds=1))
    queue.expire(at)
    assert set(QueueItem.objects.all()) == {waits, young, later}
