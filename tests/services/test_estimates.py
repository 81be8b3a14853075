"""How long a job will take and what it will cost, told before it ends."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils.timezone import now

from jobs.services.money import costs, estimates
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
    told = estimates.similar(endpoint, {"media": f"upload:{large.pk}"}, alice)
    assert (told.seconds, told.cost) == (200, Decimal("0.0620"))
    told = estimates.similar(endpoint, {"media": f"upload:{small.pk}"}, alice)
    assert told.seconds == 2
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
    told = client.get(f"/api/v1/jobs/{job.pk}", headers=bearer).json()
    assert told["cost"]["amount"] == pytest.approx(0.031)
    assert told["eta"] is None
    found = client.post(
        f"/api/v1/endpoints/{endpoint.slug}/estimate",
        {"input": {}},
        content_type="application/json",
        headers=bearer,
    ).json()
    assert found == {"seconds": 100, "cost": 0.031, "currency": "USD", "based_on": 1}
    waiting = make_job(owner=alice, endpoint=endpoint)
    told = client.get(f"/api/v1/jobs/{waiting.pk}", headers=bearer).json()
    assert told["cost"] is None
    assert told["eta"] > told["created_at"]
