"""Cursor pages over rows whose ids sort by time."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet

from jobs.api.auth import ApiRequest
from jobs.errors import InvalidInput, Problem

MAX_LIMIT = 200


def page_of(
    request: ApiRequest, rows: QuerySet[Any], limit: int, cursor: str
) -> dict[str, Any]:
    """Return {data, next, previous}; the links are full URLs or null.

    A cursor is `n` (older than) or `p` (newer than) and the id it stands beside.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(Problem("/limit", f"Between 1 and {MAX_LIMIT}."))
    backwards, beside = _parsed(cursor)
    rows = rows.order_by("id" if backwards else "-id")
    if beside:
        rows = rows.filter(**{"id__gt" if backwards else "id__lt": beside})
    found = list(rows[: limit + 1])
    has_more, found = len(found) > limit, found[:limit]
    if backwards:
        found.reverse()
    has_older = has_more if not backwards else beside is not None
    has_newer = has_more if backwards else beside is not None
    return {
        "data": found,
        "next": _link(request, "n", found[-1].pk) if found and has_older else None,
        "previous": _link(request, "p", found[0].pk) if found and has_newer else None,
    }


def _parsed(cursor: str) -> tuple[bool, UUID | None]:
    if not cursor:
        return False, None
    wrong = Problem("/cursor", "Use a cursor from `next` or `previous` as it is.")
    if cursor[0] not in "np":
        raise InvalidInput(wrong)
    try:
        return cursor[0] == "p", UUID(hex=cursor[1:])
    except ValueError:
        raise InvalidInput(wrong) from None


def _link(request: ApiRequest, kind: str, id: UUID) -> str:
    query = {**request.GET.dict(), "cursor": f"{kind}{id.hex}"}
    return request.build_absolute_uri(f"{request.path}?{urlencode(query)}")
