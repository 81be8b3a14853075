"""`Idempotency-Key` on requests that create work."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from ninja import Status
from pydantic_core import to_jsonable_python

from jobs.api.auth import ApiRequest
from jobs.services import idempotency

HEADER = "Idempotency-Key"


def once(
    request: ApiRequest, response: HttpResponse, work: Callable[[], dict[str, Any]]
) -> Status[dict[str, Any]]:
    """Do `work`, or answer what it was answered before; 201 both times."""
    header = request.headers.get(HEADER)
    if header is None:
        return Status(201, work())
    key = idempotency.read(header)
    print_ = idempotency.fingerprint(
        request.method or "", request.get_full_path(), request.body
    )
    answer, is_replayed = idempotency.once(
        request.auth.owner, key, print_, lambda: to_jsonable_python(work())
    )
    if is_replayed:
        response["Idempotent-Replayed"] = "true"
    return Status(201, answer)
