"""What people do with their webhooks: subscribe and change."""

from typing import Any

from django.db import transaction

from jobs.lib import conf, webhook_urls
from jobs.lib.errors import Conflict
from jobs.models import Webhook
from jobs.services.notifications import webhooks


def subscribe(
    owner: Any, *, url: str, events: list[str], description: str = ""
) -> Webhook:
    """Send events of the owner's jobs to `url`.

    Raise `InvalidInput` for a URL we never send to, `Conflict` for one webhook too
    many.
    """
    webhook_urls.check_url(url, "/url")
    with transaction.atomic():
        mine = Webhook.objects.visible_to(owner)
        if mine.count() >= conf.USER_WEBHOOKS:
            text = f"You have {conf.USER_WEBHOOKS} webhooks already. Delete one first."
            raise Conflict(text, code="too_many")
        return Webhook.objects.create(
            owner=owner, url=url, events=events, description=description
        )


def change(hook: Webhook, **changes: Any) -> None:
    """Change url, events, description or is_active."""
    if "url" in changes:
        webhook_urls.check_url(changes["url"], "/url")
    is_active = changes.pop("is_active", None)
    if changes:
        Webhook.objects.filter(pk=hook.pk).update(**changes)
    if is_active:
        webhooks.enable(hook)
    elif is_active is False:
        webhooks.disable(hook, "You have paused it.")
    hook.refresh_from_db()
