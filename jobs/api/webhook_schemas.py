"""What goes in and out of `/webhooks`."""

from datetime import datetime
from typing import Any

from ninja import Schema
from pydantic import Field

from jobs.api.schemas import (
    AlertEventType,
    BatchEventType,
    EventType,
    StrictSchema,
)


class WebhookIn(StrictSchema):
    """An address to tell of your jobs."""

    url: str = Field(..., max_length=2000, examples=["https://example.com/hooks/jobs"])
    events: list[EventType | BatchEventType | AlertEventType] = Field(
        [], description="Empty: all."
    )
    description: str = Field("", max_length=80, pattern=r"^[^\x00]*$")


class WebhookChange(StrictSchema):
    """What to change of a webhook; what is not sent stays."""

    url: str = Field("", min_length=1, max_length=2000)
    events: list[EventType | BatchEventType | AlertEventType] = []
    description: str = Field("", max_length=80, pattern=r"^[^\x00]*$")
    is_active: bool = True


class WebhookOut(Schema):
    """A webhook. `secret` is there once, when it is made."""

    id: str
    url: str
    description: str
    events: list[str]
    is_active: bool
    disabled_reason: str
    failing_since: datetime | None
    created_at: datetime
    secret: str | None = None


class WebhookPage(Schema):
    """One page of webhooks, newest first."""

    data: list[WebhookOut]
    next: str | None
    previous: str | None


class Secret(Schema):
    """What to verify messages with."""

    secret: str = Field(..., examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class TryOut(Schema):
    """One try to deliver a message."""

    at: datetime
    seconds: float
    status_code: int | None
    answer: str
    error: str


class DeliveryOut(Schema):
    """A message; `webhook_id` is what its receiver knows it by."""

    id: str
    webhook_id: str
    job: str | None
    url: str
    type: str
    status: str
    body: dict[str, Any]
    created_at: datetime
    next_try_at: datetime | None
    tries: list[TryOut]


class DeliveryPage(Schema):
    """One page of messages, newest first."""

    data: list[DeliveryOut]
    next: str | None
    previous: str | None
