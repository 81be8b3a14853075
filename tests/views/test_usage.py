"""What a person sees of their money."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils.timezone import now

from jobs.models import ApiKey, AuditEntry, Budget, Spend
from jobs.services.money import usage
from tests.factories import make_endpoint, make_key, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def spend(amount, days=0, **changes):
    whose = {"user": make_user(), "endpoint": make_endpoint(), "jobs": 3, **changes}
    day = now().date() - timedelta(days=days)
    Spend.objects.create(day=day, amount=Decimal(str(amount)), seconds=90, **whose)


def test_thirty_days_by_day_endpoint_and_key_and_nobody_elses(client):
    alice, key = make_user(), ApiKey.issue(owner=make_user(), name="nightly")[0]
    spend(2.5)
    spend(0.04, days=3, api_key_id=key.pk)
    spend(7, days=45)
    spend(99, user=make_user("bob"))
    Budget.objects.create(user=alice, amount=10)
    Budget.objects.create(user=make_user("bob"), amount=777)
    report = usage.of(alice)
    assert (report.today, len(report.days), report.most) == (
        Decimal("2.5"),
        30,
        Decimal("2.5"),
    )
    assert [row.name for row in report.keys] == ["In the browser", "nightly"]
    client.force_login(alice)
    page = client.get("/account/usage/").content.decode()
    assert "$2.50" in page
    assert "nightly" in page
    assert "25 % used" in page or "$10.00 each month" in page
    assert "$777" not in page
    assert "$99" not in page


def test_an_empty_page_says_so(client):
    client.force_login(make_user())
    page = client.get("/account/usage/").content.decode()
    assert "Nothing was spent in thirty days" in page
    assert "No budget binds you" in page


def test_programs_ask_what_is_left(client):
    alice = make_user()
    spend(4)
    Budget.objects.create(user=alice, amount=10)
    bearer = {"Authorization": f"Bearer {make_key(alice)}"}
    answer = client.get("/api/v1/me", headers=bearer).json()
    assert answer["spent_today"] == 4
    assert answer["budgets"] == [
        {"amount": 10, "period": "month", "endpoint": None, "left": 6}
    ]


def test_what_an_operator_changes_in_forms_is_written_down(client):
    boss = make_user("boss", is_staff=True, is_superuser=True)
    client.force_login(boss)
    client.post(
        "/admin/jobs/budget/add/", {"period": "day", "amount": 5, "warn_percent": 80}
    )
    budget = Budget.objects.get()
    client.post(
        f"/admin/jobs/budget/{budget.pk}/change/",
        {"period": "day", "amount": 9, "warn_percent": 80},
    )
    client.post(f"/admin/jobs/budget/{budget.pk}/delete/", {"post": "yes"})
    entries = list(
        AuditEntry.objects.order_by("pk").values_list("action", "user__username")
    )
    assert entries == [
        ("budget_added", "boss"),
        ("budget_changed", "boss"),
        ("budget_deleted", "boss"),
    ]
    assert AuditEntry.objects.all()[1].detail["fields"] == ["Amount"]
