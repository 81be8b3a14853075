"""What ended in each hour: counted anew while it may change, kept when jobs go."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.models import Job, JobHour
from jobs.services.money import totals
from tests.factories import make_endpoint, make_job

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def ended(status, ago, run=10, wait=2, **fields):
    at = now() - ago
    return make_job(
        status,
        created_at=at - timedelta(seconds=run + wait),
        started_at=at - timedelta(seconds=run),
        finished_at=at,
        **fields,
    )


def test_each_hour_says_how_many_ended_how_and_how_long_they_took():
    for run in range(1, 101):
        ended("COMPLETED", timedelta(hours=5), run=run, wait=run / 10)
    ended("FAILED", timedelta(hours=5))
    ended("CANCELLED", timedelta(hours=5), endpoint=make_endpoint("other"))
    assert totals.count_hours() == 1
    one, other = JobHour.objects.order_by("endpoint__slug")
    assert (one.completed, one.failed, other.cancelled) == (100, 1, 1)
    assert (one.run_p50, one.run_p95, one.wait_p95) == (50, 95, 9.5)
    assert other.run_p50 is None


def test_the_last_hours_are_counted_again_and_old_ones_stay_when_jobs_go():
    ended("COMPLETED", timedelta(hours=30))
    totals.count_hours()
    ended("COMPLETED", timedelta(0))
    totals.count_hours()
    ended("FAILED", timedelta(0))
    totals.count_hours()
    Job.objects.filter(finished_at__lt=now() - timedelta(hours=3)).delete()
    totals.count_hours()
    hours = JobHour.objects.order_by("hour").values_list("completed", "failed")
    assert list(hours) == [(1, 0), (1, 1)]


def test_a_long_past_is_caught_up_with():
    ended("COMPLETED", timedelta(days=20))
    ended("COMPLETED", timedelta(0))
    assert totals.count_hours() == 2
    assert JobHour.objects.count() == 2
