"""`Idempotency-Key` on requests that create work."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from pydantic_core import to_json, to_jsonable_python

from jobs.api.auth import ApiRequest
from jobs.services.lifecycle import idempotency

HEADER = "Idempotency-Key"
PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same request with the same key is done once, for a day.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^[!-~]+$",
    },
    "example": "order-4711",
}


def answer(body: Any, status: int = 200) -> HttpResponse:
    """Return a JSON answer."""
    return HttpResponse(to_json(body), "application/json", status)


def once(request: ApiRequest, work: Callable[[], dict[str, Any]]) -> HttpResponse:
    """Do `work`, or answer what it was answered before; 201 both times."""
    header = request.headers.get(HEADER)
    if header is None:
        return answer(work(), 201)
    key = idempotency.read(header)
    print_ = idempotency.fingerprint(
        request.method or "", request.get_full_path(), request.body
    )
    body, is_replayed = idempotency.once(
        request.auth.owner, key, print_, lambda: to_jsonable_python(work())
    )
    response = answer(body, 201)
    if is_replayed:
        response["Idempotent-Replayed"] = "true"
    return response
