"""How long a job will take and what it will cost, told before it ends."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils.timezone import now

from jobs.services.money import costs, estimates, run_times
from tests.factories import (
    make_endpoint,
    make_job,
    make_key,
    make_upload,
    make_user,
)
from tests.services.money import ended, priced

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def test_the_estimate_comes_from_jobs_with_files_of_about_the_same_size():
    alice, endpoint = make_user(), priced()
    small, large = make_upload(b"x" * 100), make_upload(b"x" * 100_000)
    for upload, seconds in ((small, 2), (large, 200)):
        for _ in range(20):
            ended(seconds, owner=alice).uploads.add(upload)
    estimate = estimates.similar(endpoint, {"media": f"upload:{large.pk}"}, alice)
    assert (estimate.seconds, estimate.cost) == (200, Decimal("0.0620"))
    estimate = estimates.similar(endpoint, {"media": f"upload:{small.pk}"}, alice)
    assert estimate.seconds == 2
    assert estimates.similar(make_endpoint("new"), {}, alice) is None


def test_the_end_is_foretold_from_progress_or_from_other_jobs():
    endpoint = priced(max_workers=2)
    waiting = make_job(endpoint=endpoint)
    assert estimates.eta(waiting, 1) is None
    ended(10)
    estimates.cache.clear()
    began = now() - timedelta(seconds=30)
    running = make_job(
        "IN_PROGRESS", endpoint=endpoint, started_at=began, progress={"fraction": 0.25}
    )
    left = (estimates.eta(running, None) - now()).total_seconds()
    assert left == pytest.approx(90, abs=1)
    wait = (estimates.eta(waiting, 4) - now()).total_seconds()
    assert wait == pytest.approx(20, abs=1)
    assert estimates.eta(ended(3), None) is None


def test_programs_read_cost_eta_and_estimate(client):
    alice, endpoint = make_user(), priced()
    bearer = {"Authorization": f"Bearer {make_key(alice)}"}
    job = ended(100, owner=alice)
    costs.settle()
    job_json = client.get(f"/api/v1/jobs/{job.pk}", headers=bearer).json()
    assert job_json["cost"]["amount"] == pytest.approx(0.031)
    assert job_json["eta"] is None
    estimate = client.post(
        f"/api/v1/endpoints/{endpoint.slug}/estimate",
        {"input": {}},
        content_type="application/json",
        headers=bearer,
    ).json()
    assert estimate == {"seconds": 100, "cost": 0.031, "currency": "USD", "based_on": 1}
    waiting = make_job(owner=alice, endpoint=endpoint)
    job_json = client.get(f"/api/v1/jobs/{waiting.pk}", headers=bearer).json()
    assert job_json["cost"] is None
    assert job_json["eta"] > job_json["created_at"]


# --- the usual run time: one answer everywhere ------------------------------------------
@pytest.fixture
def rare():
    """An endpoint with one job, before the newest two hundred of another."""
    rare = priced("rare")
    ended(30, endpoint=rare, at=now() - timedelta(days=1))
    busy = priced("busy")
    for _ in range(run_times.NEWEST + 1):
        ended(10, endpoint=busy)
    return rare


def test_each_endpoint_has_its_own_newest_jobs(rare):
    busy = priced("busy")
    ended(9999, endpoint=busy, at=now() - timedelta(days=2))  # too old to count
    usual = estimates.usual_of([rare, busy, priced("new")])
    assert {pk: (each.seconds, each.jobs) for pk, each in usual.items()} == {
        rare.pk: (30, 1),
        busy.pk: (10, run_times.NEWEST),
    }


def test_pages_and_programs_say_the_same(rare, client):
    alice = make_user()
    bearer = {"Authorization": f"Bearer {make_key(alice)}"}
    listed = client.get("/api/v1/endpoints", headers=bearer).json()["data"]
    seconds = {endpoint["slug"]: endpoint["usual_seconds"] for endpoint in listed}
    assert seconds == {"rare": 30, "busy": 10}
    read = client.get("/api/v1/endpoints/rare", headers=bearer).json()
    assert read["usual_seconds"] == 30
    client.force_login(alice)
    home = client.get("/").content.decode()
    assert re.findall(r"usually ([\d.]+ s)", home) == ["10 s", "30 s"]
    assert "usually 30 s" in client.get("/new/rare/").content.decode()


def test_any_number_of_endpoints_takes_as_many_queries_as_one(
    rare, django_assert_num_queries
):
    endpoints = [rare, *(priced(f"e{number}") for number in range(9))]
    with django_assert_num_queries(2):  # and the prices
        estimates.usual_of([rare])
    estimates.cache.clear()
    with django_assert_num_queries(3):
        estimates.usual_of(endpoints)
    with django_assert_num_queries(0):  # for half a minute
        estimates.usual_of(endpoints)


@pytest.mark.parametrize(("jobs", "seconds"), [(19, 0), (20, 2), (40, 3)])
def test_a_low_quantile_needs_enough_jobs(jobs, seconds):
    endpoint = priced()
    for number in range(jobs):
        ended(1 + number, endpoint=endpoint)
    assert run_times.quantile(endpoint.pk, 0.05) == pytest.approx(seconds)
