"""Webhooks and their messages in the panel: to look at; people manage their own."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from jobs.models import Delivery, Webhook
from jobs.services.notifications import webhooks
from jobs.services.operations import audit


class _ReadOnly(ModelAdmin):
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is made here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is changed here."""
        return False


@admin.register(Webhook)
class WebhookAdmin(_ReadOnly):
    """Who is notified. Secrets are shown only to their owners."""

    list_display = ("__str__", "owner", "is_active", "failing_since", "disabled_reason")
    list_filter = ("is_active",)
    list_select_related = ("owner",)
    search_fields = ("url", "owner__username")
    fields = ("owner", "url", "events", "is_active", "failing_since", "disabled_reason")


@admin.register(Delivery)
class DeliveryAdmin(_ReadOnly):
    """Messages, newest first."""

    list_display = ("event_type", "url", "status", "tries", "created_at", "due_at")
    list_filter = ("status", "event_type")
    list_select_related = ("webhook",)
    search_fields = ("url", "id", "job__id")
    fields = ("url", "event_type", "status", "tries", "due_at", "body")
    actions = ("send_again",)

    @admin.action(description="Send the selected messages again", permissions=["view"])
    def send_again(self, request: HttpRequest, queryset: Any) -> None:
        """Send messages once more, under their own ids."""
        for delivery in queryset:
            webhooks.replay(delivery)
            audit.record(request.user, "delivery_replayed", delivery.pk)
