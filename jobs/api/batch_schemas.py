"""What goes in and out of `/batches`."""

from datetime import datetime
from typing import Any, Literal

from ninja import Schema
from pydantic import Field

from jobs.api.schemas import PartNumber, StrictSchema


class BatchIn(StrictSchema):
    """Many inputs for one endpoint."""

    endpoint: str = Field(..., max_length=60, examples=["echo"])
    items: list[dict[str, Any]] = Field(
        ...,
        min_length=1,
        description="Inputs, as the endpoint's input schema says; each is one job.",
        examples=[[{"message": "one"}, {"message": "two"}]],
    )
    name: str = Field("", max_length=80, pattern=r"^[^\x00]*$")
    metadata: dict[str, Any] = {}
    priority: Literal["low", "normal", "high"] = "normal"
    workers: PartNumber | None = Field(
        None, description="How many of its jobs may be on their way at a time."
    )


class BatchCounts(Schema):
    """How many items are where; `waiting` are no jobs yet, `deleted` are gone by age."""

    waiting: int
    active: int
    completed: int
    failed: int
    cancelled: int
    deleted: int


class BatchOut(Schema):
    """A batch. `status` is counted, not stored."""

    id: str
    endpoint: str
    name: str
    status: str
    total: int
    counts: BatchCounts
    metadata: dict[str, Any]
    workers: int
    cancel_requested: bool
    created_at: datetime
    ended_at: datetime | None
    urls: dict[str, str]


class BatchPage(Schema):
    """One page of batches, newest first."""

    data: list[BatchOut]
    next: str | None
    previous: str | None


class BatchPlan(Schema):
    """What a dry run found: the request would be accepted."""

    endpoint: str
    total: int
    workers: int


class Retried(Schema):
    """How many items are run again."""

    retried: int
