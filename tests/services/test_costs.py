"""What jobs cost, before and after, and limits that act."""

from datetime import timedelta
from decimal import Decimal
from threading import Thread

import pytest
from django.db import connection
from django.utils.timezone import now

from jobs.models import (
    ApiKey,
    Attempt,
    Batch,
    GpuPrice,
    HealthSample,
    Job,
    Spend,
)
from jobs.services.money import costs
from tests.factories import (
    make_batch,
    make_endpoint,
    make_job,
    make_local,
    make_user,
)
from tests.interleaving import just_before
from tests.services.money import PRICE, ended, priced

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def test_a_job_costs_its_seconds_times_the_price_of_its_tier():
    job = ended(100)
    assert costs.settle() == 1
    job.refresh_from_db()
    assert job.cost == 100 * PRICE
    cost = costs.cost_json(job)
    assert cost["amount"] == pytest.approx(0.031)
    assert (cost["currency"], cost["run_s"], cost["cold_start_s"]) == ("USD", 100, 0)
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


# --- each line of the bill ------------------------------------------------------------
def reckoned(job):
    assert costs.settle() == 1
    job.refresh_from_db()
    return job


def test_programs_are_told_what_a_cost_rests_on():
    job = ended(10)
    job.attempts.update(delay_ms=90_000)
    sample(job.endpoint, job.attempts.get().created_at, 5)
    assert costs.cost_json(reckoned(job)) == {
        "amount": 0.031,
        "currency": "USD",
        "basis": "estimate from run time",
        "price_per_second": 0.00031,
        "run_s": 10,
        "cold_start_s": 90,
    }
    assert Spend.objects.get().seconds == 100
    job.cost_detail = {}
    cost = costs.cost_json(job)
    assert (cost["price_per_second"], cost["run_s"], cost["cold_start_s"]) == (0, 0, 0)


def test_a_price_that_is_edited_counts_from_then_on(django_assert_num_queries):
    endpoint = priced()
    assert costs.price_of(endpoint) == PRICE
    GpuPrice.objects.filter(pool="ADA_24").update(per_second="0.5")
    with django_assert_num_queries(0):
        assert costs.price_of(endpoint) == PRICE
    costs.forget_prices()
    assert costs.price_of(endpoint) == Decimal("0.5")


def test_a_tier_may_be_free_and_an_endpoint_too():
    GpuPrice.objects.filter(pool="ADA_24").update(per_second=0)
    assert costs.price_of(priced(pools=("ADA_24", "AMPERE_80"))) == 0
    assert costs.price_of(priced("own", price_per_second=Decimal(0))) == 0
    assert costs.price_of(priced("new", pools=("unknown",))) is None
    assert costs.price_of(make_endpoint("bare")) is None


@pytest.mark.parametrize(
    ("number", "clocks", "seconds"),
    [
        (1, {"execution_ms": 0, "claimed_at": -20, "ended_at": -5}, 0),
        (1, {"execution_ms": 1500}, 1.5),
        (1, {"claimed_at": -20, "ended_at": -5}, 15),
        (1, {"claimed_at": -20}, 20),
        (1, {"ended_at": -5}, 25),
        (1, {}, 30),
        (1, {"claimed_at": -5, "ended_at": -20}, 0),
        (0, {"claimed_at": -20, "ended_at": -5}, 15),
        (0, {"claimed_at": -20}, 0),
        (0, {"ended_at": -5}, 0),
    ],
)
def test_a_worker_had_it_from_its_claim_to_its_end_as_far_as_is_known(
    number, clocks, seconds
):
    at = now()
    job = ended(30, at=at)
    known = {
        name: value if name == "execution_ms" else at + timedelta(seconds=value)
        for name, value in clocks.items()
    }
    blank = {"execution_ms": None, "claimed_at": None, "ended_at": None}
    job.attempts.update(number=number, **{**blank, **known})
    assert reckoned(job).cost_detail["run_s"] == seconds


def test_seconds_are_told_to_the_millisecond_and_dollars_to_the_millionth():
    job = ended(1, endpoint=priced(price_per_second=Decimal("0.0000123")))
    at = job.finished_at
    began = at - timedelta(microseconds=1_234_567)
    job.attempts.update(execution_ms=None, claimed_at=began)
    reckoned(job)
    assert job.cost_detail == {"run_s": 1.235, "cold_s": 0, "price": 0.0000123}
    assert job.cost == Decimal("0.000015")


def sample(endpoint, at, before, **workers):
    return HealthSample.objects.create(
        endpoint=endpoint, taken_at=at - timedelta(seconds=before), **workers
    )


@pytest.mark.parametrize(
    ("samples", "is_cold"),
    [
        ([], False),
        ([(5, 0)], True),
        ([(0, 0)], True),
        ([(5, 1)], False),
        ([(5, 0), (60, 1)], True),
        ([(5, 1), (60, 0)], False),
        ([(-5, 0)], False),
        ([(-5, 1), (5, 0)], True),
        ([(599, 0)], True),
        ([(601, 0)], False),
    ],
)
def test_the_last_look_before_the_hand_over_says_whether_it_was_cold(samples, is_cold):
    job = ended(10)
    job.attempts.update(delay_ms=90_000)
    at = job.attempts.get().created_at
    for before, idle in samples:
        sample(job.endpoint, at, before, idle=idle)
    sample(make_endpoint("other"), at, 1, idle=0 if not is_cold else 1)
    assert reckoned(job).cost_detail["cold_s"] == (90 if is_cold else 0)


def test_each_job_of_several_is_judged_by_the_look_before_its_own_hand_over():
    at = now() - timedelta(hours=5)
    endpoint, waits = priced(), []
    for hours, idle in ((0, 1), (1, 0), (2, 1)):
        job = ended(10)
        created_at = at + timedelta(hours=hours)
        job.attempts.update(delay_ms=90_000, created_at=created_at)
        sample(endpoint, created_at, 5, idle=idle)
        waits.append(job)
    assert costs.settle() == 3
    details = [Job.objects.get(pk=job.pk).cost_detail for job in waits]
    assert [detail["cold_s"] for detail in details] == [0, 90, 0]


@pytest.mark.parametrize(
    ("delay_ms", "seconds"),
    [(None, 0), (0, 0), (1_799_000, 1799), (7_200_000, 1800)],
)
def test_a_cold_start_counts_up_to_half_an_hour(delay_ms, seconds):
    job = ended(10)
    job.attempts.update(delay_ms=delay_ms)
    sample(job.endpoint, job.attempts.get().created_at, 5)
    assert reckoned(job).cost_detail["cold_s"] == seconds


def test_ones_own_gpu_never_starts_cold():
    job = ended(10, endpoint=make_local(price_per_second=PRICE))
    job.attempts.update(delay_ms=90_000)
    sample(job.endpoint, job.attempts.get().created_at, 5)
    assert reckoned(job).cost == 10 * PRICE


# --- totals ---------------------------------------------------------------------------
def test_what_ended_first_is_reckoned_first(monkeypatch):
    monkeypatch.setattr(costs, "AT_ONCE", 2)
    running = make_job("IN_PROGRESS")
    hours = [ended(10, at=now() - timedelta(hours=hours)) for hours in (1, 3, 2)]
    assert costs.settle() == 2
    assert list(Job.objects.filter(costed_at=None)) in (
        [running, hours[0]],
        [hours[0], running],
    )
    assert costs.settle() == 1
    assert costs.settle() == 0


def test_money_is_spent_on_the_day_on_which_a_job_ended():
    at = now() - timedelta(days=3)
    ended(10, at=at)
    costs.settle()
    spent = Spend.objects.get()
    assert (spent.day, spent.endpoint, spent.user) == (
        at.date(),
        priced(),
        make_user(),
    )


def test_what_is_reckoned_later_is_added():
    batch = make_batch([{"n": 1}], endpoint=priced(input_schema={}))
    Job.objects.all().delete()
    for _ in range(2):
        ended(10, batch=batch)
        costs.settle()
    spent = Spend.objects.get()
    assert (spent.jobs, spent.seconds, spent.amount) == (2, 20, 20 * PRICE)
    assert Batch.objects.get().cost == 20 * PRICE


def test_a_batch_without_a_price_costs_nothing():
    endpoint = priced(pools=(), input_schema={})
    ended(10, batch=make_batch([{"n": 1}], endpoint=endpoint), endpoint=endpoint)
    costs.settle()
    assert Batch.objects.get().cost == 0


def test_who_comes_second_does_not_count_a_job_again():
    ended(10)
    with just_before('UPDATE "jobs_job"', costs.settle):
        assert costs.settle() == 1
    spent = Spend.objects.get()
    assert (spent.jobs, spent.amount) == (1, 10 * PRICE)


@pytest.mark.parametrize("statement", ["jobs_spend", 'UPDATE "jobs_batch"'])
def test_a_job_is_not_reckoned_where_the_totals_could_not_be_written(statement):
    batch = make_batch([{"n": 1}], endpoint=priced(input_schema={}))
    Job.objects.all().delete()
    ended(10, batch=batch)

    def die():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), just_before(statement, die):
        costs.settle()
    assert not Spend.objects.exists()
    costs.settle()
    assert Spend.objects.get().amount == Batch.objects.get().cost == 10 * PRICE
