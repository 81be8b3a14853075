"""What the database refuses, whatever the code does."""

from datetime import timedelta

import pytest
from django.db import Error, transaction
from django.utils.timezone import now

from jobs.models import Alert, Job, Lease
from tests.factories import make_endpoint, make_job

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.mark.parametrize("end", ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"])
def test_an_ended_job_does_not_move(end):
    job = make_job(end)
    with pytest.raises(Error, match="does not move"), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(status="IN_QUEUE", due_at=now())
    job.refresh_from_db()
    assert job.status == end


def test_an_active_job_is_never_without_a_look_ahead():
    job = make_job("IN_QUEUE")
    with pytest.raises(Error), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(due_at=None)


def test_a_trouble_is_open_once():
    endpoint = make_endpoint()
    Alert.objects.create(endpoint=endpoint, code="x", message="m", remedy="r")
    with pytest.raises(Error), transaction.atomic():
        Alert.objects.create(endpoint=endpoint, code="x", message="m", remedy="r")


def test_a_lease_has_one_holder_until_it_runs_out_or_is_given_back():
    assert Lease.take("loop", holder="a", seconds=60)
    assert Lease.take("loop", holder="a", seconds=60)
    assert not Lease.take("loop", holder="b", seconds=60)
    Lease.objects.update(until=now() - timedelta(seconds=1))
    assert Lease.take("loop", holder="b", seconds=60)
    Lease.release("loop", holder="a")  # not his any more
    assert not Lease.take("loop", holder="a", seconds=60)
    Lease.release("loop", holder="b")
    assert Lease.take("loop", holder="a", seconds=60)
