"""The workers of a local queue: alive, pinging, gone, on their way out."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.local_endpoint import queue, workers
from jobs.models import LocalWorker
from tests.local_endpoint.items import about, fresh, lease, put

pytestmark = [pytest.mark.db, pytest.mark.django_db]
EPOCH = now() - timedelta(days=3)


@pytest.fixture(autouse=True)
def _spans(settings):
    settings.JOBS_ITEM_ACK_SECONDS = 1000
    settings.JOBS_ITEM_LEASE_SECONDS = 2000
    settings.JOBS_ITEM_GONE_SECONDS = 400


def worker(name="w1", **fields):
    return LocalWorker.objects.create(id=name, **{"queue": "gpu", **fields})


def seen(name="w1"):
    return LocalWorker.objects.get(pk=name)


def take(name="w1"):
    item = put(executionTimeout=9_000_000)
    workers.take("gpu", name, 1)
    assert fresh(item).worker_id == name
    return item


def test_a_new_worker_is_written_down_with_its_queue():
    made = workers.polled("gpu", "w1")
    assert (made.pk, seen().queue, seen().gone_at) == ("w1", "gpu", None)
    assert seen().last_seen_at.timestamp() == about(0)


def test_a_worker_that_polls_is_alive_again_wherever_it_is_now():
    worker(queue="old", last_seen_at=EPOCH, gone_at=EPOCH)
    worker("w2", queue="old", gone_at=EPOCH)
    workers.polled("gpu", "w1")
    assert (seen().queue, seen().gone_at) == ("gpu", None)
    assert seen().last_seen_at.timestamp() == about(0)
    assert (seen("w2").queue, seen("w2").gone_at) == ("old", EPOCH)


@pytest.mark.parametrize(("has_pinged", "seconds"), [(False, 9000), (True, 1000)])
def test_only_a_worker_that_never_pings_is_trusted_until_the_time_out(
    has_pinged, seconds
):
    worker(has_pinged=has_pinged)
    item = take()
    assert lease(item) == about(seconds)
    queue.renew("w1", [item.pk])
    workers.polled("gpu", "w1")
    assert lease(item) == about(2000 if has_pinged else 9000)


def test_whether_another_worker_pings_makes_no_difference():
    worker()
    worker("w2", has_pinged=True)
    assert lease(take()) == about(9000)


def test_a_worker_that_is_on_its_way_out_gets_nothing():
    worker()
    worker("w2")
    item = put()
    workers.drain("w1")
    assert workers.take("gpu", "w1", 1) == []
    assert [one.pk for one in workers.take("gpu", "w2", 1)] == [item.pk]


def test_a_worker_gets_as_many_items_as_it_asked_for_of_its_queue():
    worker()
    put("other")
    assert workers.take("gpu", "w1", 2) == []
    items = [put() for _ in range(3)]
    taken = [item.pk for item in workers.take("gpu", "w1", 2)]
    assert taken == [item.pk for item in items[:2]]


def test_an_idle_worker_costs_one_query(django_assert_num_queries):
    worker(is_draining=True)
    with django_assert_num_queries(1):
        assert workers.take("gpu", "w1", 1) == []


def test_a_ping_is_written_down_and_renews_what_it_names():
    worker(last_seen_at=EPOCH)
    worker("w2", last_seen_at=EPOCH)
    item = take()
    workers.pinged("gpu", "w1", [item.pk], "1.2.3-" + "x" * 40)
    assert seen().has_pinged
    assert seen().sdk_version == "1.2.3-" + "x" * 14
    assert seen().last_seen_at.timestamp() == about(0)
    assert lease(item) == about(2000)
    assert (seen("w2").last_seen_at, seen("w2").has_pinged) == (EPOCH, False)


def test_a_ping_may_be_the_first_that_is_heard_of_a_worker():
    workers.pinged("gpu", "w1", [], "1.2")
    assert (seen().queue, seen().has_pinged) == ("gpu", True)


def test_a_ping_of_a_worker_that_is_gone_counts_for_nothing():
    worker(last_seen_at=EPOCH, gone_at=EPOCH, has_pinged=True)
    item = take()
    workers.pinged("gpu", "w1", [item.pk], "1.2")
    assert (seen().last_seen_at, seen().sdk_version) == (EPOCH, "")
    assert lease(item) == about(1000)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_worker_that_is_not_fit_is_gone_and_says_why_without_secrets(is_known):
    if is_known:
        worker(queue="old")
    workers.unhealthy("gpu", "w1", "token=hunter2 " + "y" * 300)
    assert seen().unhealthy_reason == "token=[secret] " + "y" * 241
    assert seen().gone_at.timestamp() == about(0)
    assert seen().queue == "gpu"


def test_a_lost_connection_shortens_the_workers_leases():
    worker(has_pinged=True)
    worker("w2", has_pinged=True)
    mine, others = take(), take("w2")
    workers.lost_connection("w1")
    assert seen().gone_at.timestamp() == about(0)
    assert seen("w2").gone_at is None
    assert (lease(mine), lease(others)) == (about(400), about(1000))


def test_workers_that_ended_give_back_what_they_had_at_once():
    worker("up-a", gone_at=EPOCH)
    worker("up-b")
    worker("down")
    items = [take(name) for name in ("up-a", "up-b", "down")]
    workers.retire("up-")
    statuses = [fresh(item).status for item in items]
    assert statuses == ["IN_QUEUE", "IN_QUEUE", "IN_PROGRESS"]
    assert seen("up-a").gone_at == EPOCH
    assert seen("up-b").gone_at.timestamp() == about(0)
    assert seen("down").gone_at is None


def test_workers_are_counted_by_runpods_names():
    for name in ("w1", "w2", "w3", "w4"):
        worker(name)
    for name in ("w1", "w4"):
        take(name)
    worker("other", queue="other")
    worker("silent", last_seen_at=now() - timedelta(seconds=61))
    worker("gone", gone_at=now())
    workers.unhealthy("gpu", "w4", "no GPU")
    workers.unhealthy("gpu", "w5", "no GPU")
    assert workers.counts("gpu") == {
        "idle": 2,
        "initializing": 0,
        "ready": 2,
        "running": 1,
        "throttled": 0,
        "unhealthy": 2,
    }


def test_a_worker_counts_for_a_minute_after_it_was_heard_of():
    worker(last_seen_at=now() - timedelta(seconds=1))
    assert workers.counts("gpu")["idle"] == 1
    LocalWorker.objects.update(last_seen_at=now() - timedelta(seconds=61))
    assert workers.counts("gpu")["idle"] == 0


def test_workers_are_forgotten_a_day_after_they_were_heard_of():
    worker(last_seen_at=now() - timedelta(days=1, seconds=1))
    worker("w2", last_seen_at=now() - timedelta(hours=23))
    workers.forget_old()
    assert [one.pk for one in LocalWorker.objects.all()] == ["w2"]
