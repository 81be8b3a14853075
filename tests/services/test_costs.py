"""What jobs cost, before and after, and limits that act."""

from datetime import timedelta
from decimal import Decimal
from threading import Thread

import pytest
from django.db import connection
from django.utils.timezone import now

from jobs.errors import BudgetSpent
from jobs.models import (
    Alert,
    ApiKey,
    Attempt,
    Batch,
    Budget,
    GpuPrice,
    HealthSample,
    Job,
    Spend,
)
from jobs.services import budgets, costs, estimates, jobs
from tests.factories import (
    make_batch,
    make_endpoint,
    make_job,
    make_key,
    make_local,
    make_upload,
    make_user,
)

pytestmark = [pytest.mark.db, pytest.mark.django_db]
PRICE = Decimal("0.00031")


def priced(slug="blur", pools=("ADA_24",), **fields):
    return make_endpoint(slug, remote={"gpu_ids": list(pools)}, **fields)


def ended(seconds=10.0, *, status="COMPLETED", endpoint=None, **fields):
    """Return an ended job whose one attempt ran for so long."""
    at = fields.pop("at", now())
    job = make_job(
        status,
        endpoint=endpoint or priced(),
        started_at=at - timedelta(seconds=seconds),
        finished_at=at,
        **fields,
    )
    job.attempts.update(execution_ms=int(seconds * 1000), ended_at=at)
    return job


def test_a_job_costs_its_seconds_times_the_price_of_its_tier():
    job = ended(100)
    assert costs.settle() == 1
    job.refresh_from_db()
    assert job.cost == 100 * PRICE
    told = costs.cost_json(job)
    assert told["amount"] == pytest.approx(0.031)
    assert (told["currency"], told["run_s"], told["cold_start_s"]) == ("USD", 100, 0)
    assert costs.settle() == 0


def test_the_first_tier_with_a_price_counts_and_the_endpoints_own_price_wins():
    GpuPrice.objects.filter(pool="AMPERE_16").update(per_second=None)
    endpoint = priced(pools=("AMPERE_16", "AMPERE_80", "ADA_24"))
    assert costs.price_of(endpoint) == Decimal("0.00076")
    endpoint.price_per_second = Decimal("0.5")
    assert costs.price_of(endpoint) == Decimal("0.5")
    assert costs.price_of(make_local()) == 0


def test_without_a_price_a_job_has_no_cost_rather_than_a_wrong_one():
    job = ended(5, endpoint=priced(pools=()))
    costs.settle()
    job.refresh_from_db()
    assert (job.cost, costs.cost_json(job)) == (None, None)
    assert Spend.objects.get().seconds == 5


def test_failed_attempts_cost_too():
    job = ended(10)
    Attempt.objects.create(job=job, number=0, execution_ms=40_000)
    costs.settle()
    job.refresh_from_db()
    assert job.cost_detail["run_s"] == 50


def test_where_runpod_did_not_tell_our_own_clock_counts():
    at = now()
    job = ended(30, at=at)
    job.attempts.update(execution_ms=None, claimed_at=at - timedelta(seconds=20))
    costs.settle()
    job.refresh_from_db()
    assert job.cost_detail["run_s"] == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize(("running", "cold"), [(0, 90.0), (1, 0.0)])
def test_a_cold_start_counts_only_where_no_worker_was_up(running, cold):
    job = ended(10)
    job.attempts.update(delay_ms=90_000)
    before = job.attempts.get().created_at - timedelta(seconds=5)
    HealthSample.objects.create(endpoint=job.endpoint, taken_at=before, running=running)
    costs.settle()
    job.refresh_from_db()
    assert job.cost_detail["cold_s"] == cold


def test_a_job_that_never_ran_costs_nothing():
    job = make_job("CANCELLED", endpoint=priced(), finished_at=now())
    costs.settle()
    job.refresh_from_db()
    assert job.cost == 0


def test_totals_stay_when_jobs_are_deleted_and_count_each_job_once():
    alice, key = make_user(), ApiKey.issue(owner=make_user(), name="k")[0]
    for _ in range(3):
        ended(10, owner=alice, api_key=key)
    ended(10, owner=alice)
    costs.settle()
    costs.settle()
    Job.objects.all().delete()
    assert sorted(Spend.objects.values_list("api_key_id", "jobs")) == [
        (0, 1),
        (key.pk, 3),
    ]
    amounts = Spend.objects.values_list("amount", flat=True)
    assert sum(amounts) == 40 * PRICE


@pytest.mark.django_db(transaction=True)
def test_two_who_reckon_at_once_count_each_job_once():
    for _ in range(20):
        ended(10)

    def work():
        costs.settle()
        connection.close()

    both = [Thread(target=work) for _ in range(4)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert Spend.objects.get().jobs == 20


def test_a_batch_sums_what_its_jobs_cost():
    batch = make_batch(
        [{"media": "https://x.test/a"}], endpoint=priced(input_schema={})
    )
    for _ in range(2):
        ended(10, batch=batch)
    costs.settle()
    assert Batch.objects.get().cost == 20 * PRICE


# --- before ---------------------------------------------------------------------------
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


# --- budgets --------------------------------------------------------------------------
def spend(amount, **whose):
    told = {"day": now().date(), "endpoint": priced(), "user": make_user(), **whose}
    Spend.objects.create(amount=amount, jobs=1, **told)


def submit(owner=None, endpoint=None, key=None):
    return jobs.create(
        owner=owner or make_user(),
        endpoint=endpoint or priced(),
        input={"text": "hi"},
        api_key_id=key.pk if key else None,
    )


def limit(amount, **whose):
    made = Budget.objects.create(amount=amount, **whose)
    budgets.forget()
    return made


@pytest.mark.parametrize("period", ["day", "month"])
def test_a_spent_budget_refuses_and_an_accepted_job_goes_on(period):
    accepted = submit()
    limit(5, period=period)
    submit()
    spend(5)
    with pytest.raises(BudgetSpent, match=r"is spent: \$5\.00 of \$5\.00") as told:
        submit()
    assert ("tomorrow" if period == "day" else "next month") in str(told.value)
    accepted.refresh_from_db()
    assert not accepted.has_ended


def test_a_budget_binds_only_whom_it_names():
    alice, bob = make_user(), make_user("bob")
    key = ApiKey.issue(owner=alice, name="ci")[0]
    other = priced("other")
    limit(1, user=alice, api_key=key)
    spend(1, api_key_id=key.pk)
    submit(alice)
    submit(bob)
    with pytest.raises(BudgetSpent):
        submit(alice, key=key)
    limit(1, endpoint=other)
    spend(1, endpoint=other, user=bob)
    with pytest.raises(BudgetSpent):
        submit(bob, other)
    submit(bob)


def test_yesterdays_money_is_not_todays():
    limit(1, period="day")
    spend(1, day=now().date() - timedelta(days=1))
    submit()


def test_what_is_on_its_way_counts_too():
    ended(1000)  # $0.31 each
    limit(1)
    for _ in range(3):
        submit()
    with pytest.raises(
        BudgetSpent, match=r"would cost about \$0\.31; \$0\.07 are left"
    ):
        submit()


def test_a_batch_that_would_cost_more_is_refused_whole():
    ended(1000, endpoint=priced(input_schema={}))
    limit(1)
    with pytest.raises(BudgetSpent, match="These 4 jobs would cost about"):
        make_batch([{"n": n} for n in range(4)])
    assert not Batch.objects.exists()


def test_programs_get_402_and_people_a_sentence(client):
    alice = make_user()
    priced(input_schema={"type": "object", "properties": {"text": {"type": "string"}}})
    limit(1)
    spend("0.9")
    client.force_login(alice)
    page = client.get("/new/blur/").content.decode()
    assert "90 % of the budget" in page
    spend("0.2", endpoint=make_endpoint("other"))
    page = client.post("/new/blur/", {"input-text": "hi"}).content.decode()
    assert "The budget each month is spent" in page
    client.logout()
    answer = client.post(
        "/api/v1/jobs",
        {"endpoint": "blur", "input": {"text": "hi"}},
        content_type="application/json",
        headers={"Authorization": f"Bearer {make_key(alice)}"},
    )
    assert answer.status_code == 402
    assert answer.json()["code"] == "budget_spent"


def test_the_operator_is_warned_before_it_is_spent():
    limit(10)
    spend(7)
    budgets.watch()
    assert not Alert.objects.exists()
    spend(2, endpoint=make_endpoint("other"))
    budgets.watch()
    budgets.watch()
    alert = Alert.objects.get()
    assert "(Everybody: $10.00 each month) is used up to 90 %" in alert.message
    assert alert.severity == "warning"
    Budget.objects.update(amount=100)
    budgets.watch()
    alert.refresh_from_db()
    assert alert.resolved_at


def test_a_budget_that_is_deleted_takes_its_warning_along():
    budget = limit(1)
    spend(1)
    budgets.watch()
    assert Alert.objects.filter(resolved_at=None).count() == 1
    budget.delete()
    budgets.watch()
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_a_spent_budget_leaves_ones_own_gpu_alone():
    limit(1)
    spend(1)
    submit(endpoint=make_local())
