"""Spending limits: a warning first, then new jobs are refused.

Spent is the cost of jobs that ended in the period (UTC) plus the expected cost of
active jobs, where it is known. Accepted jobs always continue.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Q, Sum
from django.utils.timezone import now

from jobs.lib.errors import BudgetSpent
from jobs.models import Budget, Endpoint, Job, Spend
from jobs.services.money import costs, estimates
from jobs.services.operations import alerts
from jobs.states import ACTIVE

LOOK_SECONDS = 5
HAS_ANY = "budgets-exist"
ALERT = "budget"


@dataclass(frozen=True)
class Standing:
    """How much of a budget is used."""

    budget: Budget
    spent: Decimal
    on_the_way: Decimal

    @property
    def left(self) -> Decimal:
        """What may still be spent."""
        return max(Decimal(0), self.budget.amount - self.spent - self.on_the_way)

    @property
    def percent(self) -> int:
        """How much is used, active jobs included."""
        gone = self.spent + self.on_the_way
        if not self.budget.amount:
            return 100
        return int(gone / self.budget.amount * 100)

    @property
    def is_near(self) -> bool:
        """Whether a warning is due."""
        return self.percent >= self.budget.warn_percent


def check(
    *, owner: Any, api_key_id: int | None, endpoint: Endpoint, jobs: int = 1
) -> None:
    """Raise `BudgetSpent` if `jobs` more would cost more than is left."""
    if costs.price_of(endpoint) == 0:
        return  # one's own GPU
    for budget in _of(owner=owner, api_key_id=api_key_id, endpoint=endpoint):
        standing = stand(budget)
        usual = estimates.usual(endpoint)
        each = usual.cost if usual and usual.cost else Decimal(0)
        if standing.left <= 0 or each * jobs > standing.left:
            raise BudgetSpent(_refusal(standing, each * jobs, jobs))


def notes(*, owner: Any, endpoint: Endpoint) -> list[str]:
    """Return what the user should know before submitting."""
    near = [stand(one) for one in _of(owner=owner, api_key_id=None, endpoint=endpoint)]
    return [
        f"{one.percent} % of the budget ({one.budget}) is used; ${one.left:.2f} is left."
        for one in near
        if one.is_near
    ]


def stand(budget: Budget) -> Standing:
    """Return how much of a budget is spent."""
    spends = Spend.objects.filter(day__gte=_begin(budget))
    active = Job.objects.filter(status__in=ACTIVE)
    if budget.user_id:
        spends, active = (
            spends.filter(user=budget.user_id),
            active.filter(owner=budget.user_id),
        )
    if budget.api_key_id:
        spends = spends.filter(api_key_id=budget.api_key_id)
        active = active.filter(api_key=budget.api_key_id)
    if budget.endpoint_id:
        spends = spends.filter(endpoint=budget.endpoint_id)
        active = active.filter(endpoint=budget.endpoint_id)
    spent = spends.aggregate(total=Sum("amount"))["total"] or Decimal(0)
    counts = active.order_by().values_list("endpoint").annotate(n=Count("pk"))
    return Standing(budget, spent, _on_the_way(dict(counts)))


def watch() -> None:
    """Alert the operator to budgets that are nearly used up; resolve old alerts."""
    budgets = list(Budget.objects.select_related("user", "api_key", "endpoint"))
    alerts.forget([ALERT], [_subject(budget) for budget in budgets])
    for budget in budgets:
        standing = stand(budget)
        alerts.keep(
            ALERT,
            f"The budget ({budget}) is {standing.percent} % used: "
            f"${standing.spent:.2f}.",
            "At 100 %, new jobs are refused; accepted ones continue. Raise the budget, "
            "or let it stop new jobs.",
            subject=_subject(budget),
            is_open=standing.is_near,
            severity="warning",
        )


def _subject(budget: Budget) -> str:
    return f"Budget {budget.pk}"


def forget() -> None:
    """Forget whether budgets exist; called when one is saved."""
    cache.delete(HAS_ANY)


def _of(*, owner: Any, api_key_id: int | None, endpoint: Endpoint) -> list[Budget]:
    has_any = cache.get(HAS_ANY)
    if has_any is None:
        has_any = Budget.objects.exists()
        cache.set(HAS_ANY, has_any, LOOK_SECONDS)
    if not has_any:
        return []
    return list(
        Budget.objects.filter(
            Q(user=None) | Q(user=owner),
            Q(api_key=None) | Q(api_key=api_key_id),
            Q(endpoint=None) | Q(endpoint=endpoint),
        ).select_related("user", "api_key", "endpoint")
    )


def _on_the_way(counts: dict[int, int]) -> Decimal:
    total = Decimal(0)
    for endpoint in Endpoint.objects.filter(pk__in=counts):
        usual = estimates.usual(endpoint)
        if usual and usual.cost:
            total += usual.cost * counts[endpoint.pk]
    return total


def _begin(budget: Budget) -> date:
    today = now().date()
    return today if budget.period == Budget.Period.DAY else today.replace(day=1)


def _refusal(standing: Standing, wanted: Decimal, jobs: int) -> str:
    budget = standing.budget
    gone = f"${standing.spent + standing.on_the_way:.2f} of ${budget.amount:.2f}"
    again = "tomorrow" if budget.period == Budget.Period.DAY else "next month"
    text = f"The budget {budget.period_words} is spent: {gone}."
    if standing.left > 0:
        what = "This job" if jobs == 1 else f"These {jobs:,} jobs"
        text = f"{what} would cost about ${wanted:.2f}; ${standing.left:.2f} is left ({gone})."
    return f"{text} Try again {again} (UTC), or ask the operator to raise it."
