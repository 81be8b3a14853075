"""Budgets: whom they bind, what counts, what is said before and when they are spent."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils.timezone import now

from jobs.lib.errors import BudgetSpent
from jobs.models import Alert, ApiKey, Batch, Budget
from jobs.services.money import budgets
from tests.factories import (
    make_batch,
    make_endpoint,
    make_job,
    make_key,
    make_local,
    make_user,
)
from tests.services.money import PRICE, ended, limit, priced, spend, submit

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.mark.parametrize("period", ["day", "month"])
def test_a_spent_budget_refuses_and_an_accepted_job_goes_on(period):
    accepted = submit()
    limit(5, period=period)
    submit()
    spend(5)
    with pytest.raises(BudgetSpent, match=r"is spent: \$5\.00 of \$5\.00") as caught:
        submit()
    assert ("tomorrow" if period == "day" else "next month") in str(caught.value)
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
    with pytest.raises(BudgetSpent, match=r"would cost about \$0\.31; \$0\.07 is left"):
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
    assert "(Everybody: $10.00 each month) is 90 % used" in alert.message
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


# --- what counts ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("period", "day", "is_counted"),
    [
        ("day", "2026-07-15", True),
        ("day", "2026-07-14", False),
        ("month", "2026-07-01", True),
        ("month", "2026-07-15", True),
        ("month", "2026-06-30", False),
    ],
)
def test_only_what_was_spent_in_the_period_counts(monkeypatch, period, day, is_counted):
    evening = datetime(2026, 7, 15, 23, 59, tzinfo=UTC)
    monkeypatch.setattr(budgets, "now", lambda: evening)
    spend(3, day=day)
    assert budgets.stand(limit(5, period=period)).spent == (3 if is_counted else 0)


@pytest.mark.parametrize("whose", ["user", "api_key", "endpoint"])
def test_only_what_a_budget_is_about_counts(whose):
    """Two have spent, and have a job on its way; they differ in one thing."""
    key = {
        name: ApiKey.issue(owner=make_user(name), name=name)[0]
        for name in ("alice", "bob")
    }
    mine = {"user": make_user("alice"), "api_key": key["alice"], "endpoint": priced()}
    bobs = {
        "user": make_user("bob"),
        "api_key": key["bob"],
        "endpoint": priced("other"),
    }
    for endpoint in (mine["endpoint"], bobs["endpoint"]):
        ended(1000, endpoint=endpoint)  # $0.31 each
    for one, amount in ((mine, 2), ({**mine, whose: bobs[whose]}, 4)):
        user, api_key, endpoint = one.values()
        spend(amount, user=user, endpoint=endpoint, api_key_id=api_key.pk)
        make_job(owner=user, api_key=api_key, endpoint=endpoint)
    standing = budgets.stand(limit(10, **{whose: mine[whose]}))
    assert (standing.spent, standing.on_the_way) == (2, 1000 * PRICE)
    standing = budgets.stand(limit(10))
    assert (standing.spent, standing.on_the_way) == (6, 2000 * PRICE)


def test_jobs_on_their_way_count_at_the_price_of_their_own_endpoint():
    dear = priced("dear", pools=("AMPERE_80",))
    for endpoint, count in ((priced(), 3), (dear, 2), (priced("free", pools=()), 5)):
        ended(1000, endpoint=endpoint)
        for _ in range(count):
            make_job("IN_QUEUE", endpoint=endpoint)
    make_job(endpoint=make_endpoint("new"))
    expected = 3 * Decimal("0.31") + 2 * Decimal("0.76")
    assert budgets.stand(limit(10)).on_the_way == expected


# --- whom it binds --------------------------------------------------------------------
@pytest.mark.parametrize("whose", ["user", "api_key", "endpoint"])
def test_somebody_elses_budget_binds_nobody_else(whose):
    bob = make_user("bob")
    bobs = {
        "user": bob,
        "api_key": ApiKey.issue(owner=bob, name="bob's")[0],
        "endpoint": priced("other"),
    }
    limit(0, **{whose: bobs[whose]})
    key = ApiKey.issue(owner=make_user(), name="mine")[0]
    submit(key=key)
    submit()
    with pytest.raises(BudgetSpent):
        submit(bob, bobs["endpoint"], bobs["api_key"])


def test_of_several_budgets_the_tightest_binds():
    limit(100)
    limit(0, user=make_user())
    with pytest.raises(BudgetSpent, match=r"of \$0\.00"):
        submit()


def test_a_job_that_costs_just_what_is_left_is_accepted():
    ended(1000)
    limit("0.62")
    submit()
    submit()
    with pytest.raises(BudgetSpent, match=r"is spent: \$0\.62 of \$0\.62\. Try again"):
        submit()


def test_where_nobody_knows_a_price_what_was_spent_still_binds():
    endpoint = priced("unpriced", pools=())
    ended(1000, endpoint=endpoint)
    limit(5)
    submit(endpoint=endpoint)
    spend(5)
    with pytest.raises(BudgetSpent):
        submit(endpoint=endpoint)


def test_a_refusal_says_how_much_is_gone_left_and_when_it_begins_anew():
    ended(1000)
    spend(4)
    submit()
    limit(5, period="day")
    with pytest.raises(BudgetSpent) as refused:
        budgets.check(owner=make_user(), api_key_id=None, endpoint=priced(), jobs=2000)
    assert str(refused.value) == (
        "These 2,000 jobs would cost about $620.00; $0.69 is left ($4.31 of $5.00). "
        "Try again tomorrow (UTC), or ask the operator to raise it."
    )


def test_more_than_all_is_not_less_than_nothing():
    limit(5)
    spend(7)
    standing = budgets.stand(Budget.objects.get())
    assert (standing.left, standing.percent) == (0, 140)


# --- what is said before --------------------------------------------------------------
@pytest.mark.parametrize(
    ("spent", "note"),
    [
        ("7.99", None),
        (
            "8",
            "80 % of the budget (Everybody: $10.00 each month) is used; $2.00 is left.",
        ),
        (
            "12",
            "120 % of the budget (Everybody: $10.00 each month) is used; $0.00 is left.",
        ),
    ],
)
def test_a_budget_that_is_nearly_spent_is_told_to_those_it_binds(spent, note):
    limit(10)
    limit(1000)
    spend(spent)
    notes = budgets.notes(owner=make_user(), endpoint=priced())
    assert notes == ([note] if note else [])


def test_other_peoples_budgets_are_not_told():
    limit(0, user=make_user("bob"))
    limit(0, endpoint=priced("other"))
    limit(0, api_key=ApiKey.issue(owner=make_user(), name="mine")[0])
    assert budgets.notes(owner=make_user(), endpoint=priced()) == []


def test_a_budget_of_nothing_is_used_up_from_the_beginning():
    limit(0, user=make_user(), warn_percent=100)
    budgets.watch()
    alert = Alert.objects.get()
    assert alert.message == "The budget (alice: $0.00 each month) is 100 % used: $0.00."


def test_each_budget_is_watched_for_itself():
    near, far = limit(10), limit(1000)
    spend(9)
    budgets.watch()
    assert [alert.subject for alert in Alert.objects.all()] == [f"Budget {near.pk}"]
    Budget.objects.filter(pk=far.pk).update(amount=9)
    budgets.watch()
    budgets.watch()
    assert Alert.objects.filter(resolved_at=None).count() == 2


def test_whether_there_are_budgets_is_not_asked_for_each_job(django_assert_num_queries):
    whose = {"owner": make_user(), "api_key_id": None}
    endpoint = priced(price_per_second=PRICE)
    budgets.check(endpoint=endpoint, **whose)
    with django_assert_num_queries(0):
        budgets.check(endpoint=endpoint, **whose)
    Budget.objects.create(amount=0)
    budgets.check(endpoint=endpoint, **whose)
    budgets.forget()
    with pytest.raises(BudgetSpent):
        budgets.check(endpoint=endpoint, **whose)
