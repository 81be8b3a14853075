"""Filters of the list of jobs."""

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.db.models import QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from ninja import Schema
from pydantic import AwareDatetime, BeforeValidator, Field

from jobs.api.auth import ApiRequest
from jobs.api.paging import Cursor, Limit, refuse_unknown
from jobs.lib.errors import Malformed, Problem
from jobs.states import JobStatus

_METADATA = re.compile(r"^metadata\[(.{1,80})\]$", re.DOTALL)
_RFC3339 = re.compile(
    r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$", re.ASCII
)
METADATA_PARAMETER = {
    "name": "metadata",
    "in": "query",
    "style": "deepObject",
    "explode": True,
    "description": "Jobs with this text in their metadata: metadata[order]=4711",
    "schema": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "propertyNames": {"minLength": 1, "maxLength": 80},
    },
}


def _rfc3339(value: Any) -> Any:
    """Take what RFC 3339 says; pydantic would take numbers and times without zone."""
    if isinstance(value, str) and not _RFC3339.match(value):
        raise ValueError("a time with its zone, like 2026-01-31T12:00:00Z")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]


class JobFilters(Schema):
    """Which jobs, and how many."""

    status: JobStatus | None = None
    endpoint: str = Field("", max_length=60)
    batch: UUID | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    limit: Limit = 50
    cursor: Cursor = ""

    def apply(self, request: ApiRequest, jobs: QuerySet[Any]) -> QuerySet[Any]:
        """Return the jobs that match; raise `Malformed` for a filter we do not know."""
        refuse_unknown(request, self._known(request))
        if self.status:
            jobs = jobs.filter(status=self.status)
        if self.endpoint:
            jobs = jobs.filter(endpoint__slug=_storable(self.endpoint, "endpoint"))
        if self.batch:
            jobs = jobs.filter(batch=self.batch)
        if self.created_after:
            jobs = jobs.filter(created_at__gt=_utc(self.created_after))
        if self.created_before:
            jobs = jobs.filter(created_at__lt=_utc(self.created_before))
        for name, value in request.GET.items():
            match = _METADATA.match(name)
            if match:
                key = KeyTextTransform(_storable(match[1], name), "metadata")
                # As text: a key of JSON would be compared with JSON.
                metadata_text = Cast(key, TextField())
                jobs = jobs.alias(metadata_text=metadata_text).filter(
                    metadata_text=_storable(str(value), name)
                )
        return jobs

    def _known(self, request: ApiRequest) -> list[str]:
        fields = list(type(self).model_fields)
        return [*fields, *(name for name in request.GET if _METADATA.match(name))]


def _storable(text: str, name: str) -> str:
    """Refuse what PostgreSQL cannot be asked for."""
    if "\0" in text:
        message = "Contains a NUL character; remove it."
        raise Malformed(message, Problem(f"/{name[:60]}", message, "characters"))
    return text


def _utc(at: datetime) -> datetime:
    """Refuse what leaves the calendar when it is turned to UTC."""
    try:
        return at.astimezone()
    except OverflowError:
        raise Malformed("The time is out of range.") from None
