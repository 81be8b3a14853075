"""Cursor pages over rows whose ids sort by time."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from pydantic import BeforeValidator, Field

from jobs.api.auth import ApiRequest
from jobs.lib.errors import Malformed, Problem

MAX_LIMIT = 200


def _digits(value: Any) -> Any:
    """Take plain digits only; pydantic would take " +5 " and "1_000"."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("a number in plain digits")
    return value


# The bounds stand before the validator: else pydantic does not write them down.
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT), BeforeValidator(_digits)]
Cursor = Annotated[str, Field(max_length=40, pattern="^(|[np][0-9a-f]{32})$")]


def refuse_unknown(request: ApiRequest, known: Collection[str]) -> None:
    """Raise `Malformed` for a query parameter that would be ignored."""
    for name in request.GET:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = near[0] if near else ", ".join(sorted(known))
            text = f"There is no filter “{name[:60]}”. Known: {hint}."
            if near:
                text = f"There is no filter “{name[:60]}”. Did you mean “{hint}”?"
            raise Malformed(text, Problem(f"/{name[:60]}", text, "unknown"))


def page_of(
    request: ApiRequest, rows: QuerySet[Any], limit: int, cursor: str
) -> dict[str, Any]:
    """Return {data, next, previous}; the links are full URLs or null.

    A cursor is `n` (older than) or `p` (newer than) and the id it stands beside.
    """
    backwards, beside = _parsed(cursor)
    rows = rows.order_by("id" if backwards else "-id")
    if beside:
        rows = rows.filter(**{"id__gt" if backwards else "id__lt": beside})
    page = list(rows[: limit + 1])
    has_more, page = len(page) > limit, page[:limit]
    if backwards:
        page.reverse()
    has_older = has_more if not backwards else beside is not None
    has_newer = has_more if backwards else beside is not None
    return {
        "data": page,
        "next": _link(request, "n", page[-1].pk) if page and has_older else None,
        "previous": _link(request, "p", page[0].pk) if page and has_newer else None,
    }


def _parsed(cursor: str) -> tuple[bool, UUID | None]:
    if not cursor:
        return False, None
    return cursor[0] == "p", UUID(hex=cursor[1:])


def _link(request: ApiRequest, kind: str, id: UUID) -> str:
    query = {**request.GET.dict(), "cursor": f"{kind}{id.hex}"}
    return request.build_absolute_uri(f"{request.path}?{urlencode(query)}")
