"""`/api/v1/webhooks`: addresses that are told of jobs, and what became of each message.

`jobs` in place of an id stands for the addresses that jobs name themselves.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpResponse
from ninja import Path, Router, Status
from pydantic import Field

from jobs.api.auth import ApiRequest, needs
from jobs.api.once import PARAMETER, answer, once
from jobs.api.paging import Cursor, Limit, page_of, refuse_unknown
from jobs.api.webhook_schemas import (
    DeliveryOut,
    DeliveryPage,
    Secret,
    WebhookChange,
    WebhookIn,
    WebhookOut,
    WebhookPage,
)
from jobs.lib.errors import NotFound
from jobs.models import Delivery, Webhook
from jobs.services.notifications import subscriptions, webhooks

router = Router(auth=needs("webhooks:admin"))
UUID_TEXT = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
JobsOrId = Path[Annotated[str, Field(pattern=f"^(jobs|{UUID_TEXT})$")]]
DeliveryStatus = Literal["pending", "delivered", "failed"]


@router.post(
    "",
    response={201: WebhookOut},
    summary="Subscribe an address",
    openapi_extra={"parameters": [PARAMETER]},
)
def create_webhook(request: ApiRequest, body: WebhookIn) -> HttpResponse:
    """Have an address told of your jobs. The answer has the secret to verify with."""

    def subscribe() -> dict[str, Any]:
        hook = subscriptions.subscribe(
            request.auth.owner,
            url=body.url,
            events=list(body.events),
            description=body.description,
        )
        return _json(hook) | {"secret": hook.secret}

    return once(request, subscribe)


@router.get("", response=WebhookPage, summary="List webhooks")
def list_webhooks(
    request: ApiRequest, limit: Limit = 50, cursor: Cursor = ""
) -> HttpResponse:
    """Return your webhooks, newest first."""
    refuse_unknown(request, ("limit", "cursor"))
    page = page_of(request, _mine(request), limit, cursor)
    return answer({**page, "data": [_json(hook) for hook in page["data"]]})


@router.get("/{uuid:webhook_id}", response=WebhookOut, summary="Read a webhook")
def read_webhook(request: ApiRequest, webhook_id: UUID) -> HttpResponse:
    """Return one webhook."""
    return answer(_json(_one(request, webhook_id)))


@router.patch("/{uuid:webhook_id}", response=WebhookOut, summary="Change a webhook")
def change_webhook(
    request: ApiRequest, webhook_id: UUID, body: WebhookChange
) -> HttpResponse:
    """Change what you send. `is_active`: true begins again where we had given up."""
    hook = _one(request, webhook_id)
    subscriptions.change(hook, **body.dict(exclude_unset=True))
    return answer(_json(hook))


@router.delete("/{uuid:webhook_id}", response={204: None}, summary="Delete a webhook")
def delete_webhook(request: ApiRequest, webhook_id: UUID) -> Status[None]:
    """Send nothing there any more, and forget what was sent."""
    _one(request, webhook_id).delete()
    return Status(204, None)


@router.post(
    "/{uuid:webhook_id}/test", response={202: DeliveryOut}, summary="Send a test"
)
def test_webhook(request: ApiRequest, webhook_id: UUID) -> HttpResponse:
    """Send a message of type `webhook.test`."""
    return answer(delivery_json(webhooks.send_test(_one(request, webhook_id))), 202)


@router.get("/{webhook_id}/secret", response=Secret, summary="Read the secret")
def read_secret(request: ApiRequest, webhook_id: JobsOrId) -> HttpResponse:
    """Return the secret to verify messages with (Standard Webhooks)."""
    return answer({"secret": _named(request, webhook_id).secret})


@router.post(
    "/{webhook_id}/rotate-secret", response=Secret, summary="Rotate the secret"
)
def rotate_secret(request: ApiRequest, webhook_id: JobsOrId) -> HttpResponse:
    """Make a new secret. For a day, messages are signed with the old one, too."""
    hook = _named(request, webhook_id)
    webhooks.rotate_secret(hook)
    return answer({"secret": hook.secret})


@router.get(
    "/{webhook_id}/deliveries", response=DeliveryPage, summary="List deliveries"
)
def list_deliveries(
    request: ApiRequest,
    webhook_id: JobsOrId,
    status: DeliveryStatus | None = None,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> HttpResponse:
    """Return the messages of a webhook, newest first, each with its tries."""
    refuse_unknown(request, ("status", "limit", "cursor"))
    deliveries = _named(request, webhook_id).deliveries.prefetch_related("log")
    if status:
        deliveries = deliveries.filter(status=status)
    page = page_of(request, deliveries, limit, cursor)
    return answer({**page, "data": [delivery_json(one) for one in page["data"]]})


@router.get(
    "/deliveries/{uuid:delivery_id}", response=DeliveryOut, summary="Read a delivery"
)
def read_delivery(request: ApiRequest, delivery_id: UUID) -> HttpResponse:
    """Return one message with its tries."""
    return answer(delivery_json(_delivery(request, delivery_id)))


@router.post(
    "/deliveries/{uuid:delivery_id}/replay",
    response={202: DeliveryOut},
    summary="Send a message again",
)
def replay_delivery(request: ApiRequest, delivery_id: UUID) -> HttpResponse:
    """Send a message once more, under the same `webhook-id`."""
    delivery = _delivery(request, delivery_id)
    webhooks.replay(delivery)
    return answer(delivery_json(delivery), 202)


def _mine(request: ApiRequest) -> Any:
    return Webhook.objects.visible_to(request.auth.owner)


def _one(request: ApiRequest, pk: UUID) -> Webhook:
    hook: Webhook | None = _mine(request).filter(pk=pk).first()
    if hook is None:
        raise NotFound("There is no such webhook, or it is not yours.")
    return hook


def _named(request: ApiRequest, name: str) -> Webhook:
    if name == "jobs":
        return Webhook.of_jobs(request.auth.owner.pk)
    return _one(request, UUID(name))


def _delivery(request: ApiRequest, pk: UUID) -> Delivery:
    mine = Delivery.objects.filter(webhook__owner=request.auth.owner)
    delivery = mine.prefetch_related("log").filter(pk=pk).first()
    if delivery is None:
        raise NotFound("There is no such delivery, or it is not yours.")
    return delivery


def _json(hook: Webhook) -> dict[str, Any]:
    return {
        "id": str(hook.pk),
        "url": hook.url,
        "description": hook.description,
        "events": hook.events,
        "is_active": hook.is_active,
        "disabled_reason": hook.disabled_reason,
        "failing_since": hook.failing_since,
        "created_at": hook.created_at,
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Return a message with its tries."""
    return {
        "id": str(delivery.pk),
        "webhook_id": delivery.message_id,
        "job": str(delivery.job_id) if delivery.job_id else None,
        "url": delivery.url,
        "type": delivery.event_type,
        "status": delivery.status,
        "body": webhooks.parsed(delivery),
        "created_at": delivery.created_at,
        "next_try_at": delivery.due_at,
        "tries": [
            {
                "at": one.at,
                "seconds": round(one.seconds, 3),
                "status_code": one.status_code,
                "answer": one.answer,
                "error": one.error,
            }
            for one in delivery.log.all()
        ],
    }
