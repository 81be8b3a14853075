"""Items of the local queue `gpu`, in any condition."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.local_endpoint import queue
from jobs.models import QueueItem
from tests.factories import make_local

UPDATE = 'UPDATE "jobs_queueitem"'
ENDS = ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT")
ALL = ("IN_QUEUE", "IN_PROGRESS", *ENDS)


def put(slug="gpu", **policy):
    return queue.put(make_local(slug), {"a": 1}, policy=policy, webhook="")


def item_in(status, **fields):
    item = put()
    ended_at = now() if status in ENDS else None
    values = {"status": status, "ended_at": ended_at, **fields}
    QueueItem.objects.filter(pk=item.pk).update(**values)
    item.refresh_from_db()
    return item


def running(worker="w1", **policy):
    item = put(**policy)
    (taken,) = queue.take("gpu", worker, 1)
    assert taken.pk == item.pk
    return taken


def fresh(item):
    return QueueItem.objects.get(pk=item.pk)


def about(seconds):
    """A time so far from now, give or take what a busy machine needs."""
    return pytest.approx((now() + timedelta(seconds=seconds)).timestamp(), abs=60)


def lease(item):
    return fresh(item).lease_until.timestamp()
