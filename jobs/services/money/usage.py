"""What a user has spent and how much is left, for pages and programs."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.utils.timezone import now

from jobs.models import ApiKey, Budget, Spend
from jobs.services.money import budgets
from jobs.services.money.budgets import Standing

DAYS = 30


@dataclass(frozen=True)
class Row:
    """Jobs, GPU seconds and US dollars under one name."""

    name: str
    jobs: int
    seconds: float
    amount: Decimal


@dataclass(frozen=True)
class Usage:
    """A user's spend over thirty days."""

    today: Decimal
    month: Decimal
    days: list[tuple[date, Decimal]]
    endpoints: list[Row]
    keys: list[Row]
    budgets: list[Standing]

    @property
    def most(self) -> Decimal:
        """The most expensive day, for the height of the bars."""
        return max((amount for _, amount in self.days), default=Decimal(0))


def of(user: Any) -> Usage:
    """Return what a user has spent."""
    today = now().date()
    first = today - timedelta(days=DAYS - 1)
    mine = Spend.objects.filter(user=user, day__gte=min(first, today.replace(day=1)))
    sums = mine.order_by().values_list("day").annotate(total=Sum("amount"))
    by_day: dict[date, Decimal] = defaultdict(Decimal, list(sums))
    recent = mine.filter(day__gte=first)
    names = {key.pk: key.name for key in ApiKey.objects.filter(owner=user)}
    names[0] = "In the browser"
    days = [first + timedelta(days=n) for n in range(DAYS)]
    return Usage(
        today=by_day[today],
        month=sum(
            (a for d, a in by_day.items() if d >= today.replace(day=1)), Decimal(0)
        ),
        days=[(day, by_day[day]) for day in days],
        endpoints=[Row(*row) for row in _rows(recent, "endpoint__title")],
        keys=[
            Row(names.get(pk, "A deleted key"), jobs, seconds, amount)
            for pk, jobs, seconds, amount in _rows(recent, "api_key_id")
        ],
        budgets=[budgets.stand(one) for one in _budgets(user)],
    )


def _rows(spends: Any, name: str) -> list[tuple[Any, int, float, Decimal]]:
    grouped = spends.order_by().values_list(name)
    summed = grouped.annotate(n=Sum("jobs"), s=Sum("seconds"), a=Sum("amount"))
    return list(summed.order_by("-a", "-n"))


def _budgets(user: Any) -> list[Budget]:
    mine = Budget.objects.filter(user=user) | Budget.objects.filter(user=None)
    related = ("user", "api_key", "endpoint")
    candidates = list(mine.select_related(*related).order_by("pk"))
    # Budgets of other users' keys are not this user's business.
    return [
        one for one in candidates if not one.api_key or one.api_key.owner_id == user.pk
    ]
