"""`/api/v1/me`: who calls."""

from typing import Any

from ninja import Router

from jobs.api.auth import ApiRequest
from jobs.api.schemas import Me

router = Router()


@router.get("/me", response=Me, summary="Who am I")
def me(request: ApiRequest) -> dict[str, Any]:
    """Return the user, and what the key may do."""
    caller = request.auth
    return {
        "username": caller.owner.get_username(),
        "scopes": list(caller.scopes),
        "endpoints": list(caller.endpoints),
    }
