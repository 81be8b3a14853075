"""Budgets: how many requests may leave."""

import pytest

from jobs.shifts.loop.rate_budget import Budget


def test_a_budget_is_never_exceeded_in_any_ten_seconds(clock):
    budget, sent = Budget(180, clock), []
    for _ in range(3000):
        clock.now += 0.01
        count = budget.available()
        budget.spend(count)
        sent += [clock.now] * count
    for start in range(20):
        within = [at for at in sent if 1000 + start <= at < 1010 + start]
        assert 1790 <= len(within) <= 1846


@pytest.mark.parametrize(("rate", "burst"), [(180, 45), (8, 2), (1, 1)])
def test_a_budget_does_not_save_up_for_a_storm(rate, burst, clock):
    budget = Budget(rate, clock)
    assert budget.available() == burst
    clock.now += 3600
    assert budget.available() == burst


def test_what_is_spent_comes_back_in_time(clock):
    budget = Budget(8, clock)
    budget.spend()
    assert budget.available() == 1
    budget.spend()
    assert budget.available() == 0
    clock.now += 0.126
    assert budget.available() == 1
    assert budget.available() == 1
