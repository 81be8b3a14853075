"""`/api/v1/me`: who calls."""

from typing import Any

from ninja import Router

from jobs.api.auth import ApiRequest
from jobs.api.schemas import Me
from jobs.services.money import costs, usage

router = Router()


@router.get("/me", response=Me, summary="Who am I")
def me(request: ApiRequest) -> dict[str, Any]:
    """Return the user, what the key may do, and what was and may be spent."""
    caller = request.auth
    spent = usage.of(caller.owner)
    return {
        "username": caller.owner.get_username(),
        "scopes": list(caller.scopes),
        "endpoints": list(caller.endpoints),
        "spent_today": float(spent.today),
        "spent_this_month": float(spent.month),
        "currency": costs.CURRENCY,
        "budgets": [
            {
                "amount": float(one.budget.amount),
                "period": one.budget.period,
                "endpoint": one.budget.endpoint.slug if one.budget.endpoint else None,
                "left": float(one.left),
            }
            for one in spent.budgets
        ],
    }
