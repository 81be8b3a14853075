"""Alerts in the panel."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from jobs.admin.jobs import ReadOnly
from jobs.models import Alert


@admin.register(Alert)
class AlertAdmin(ReadOnly, ModelAdmin):
    """What is wrong with endpoints, since when, and what to do."""

    list_display = ("endpoint", "code", "message", "remedy", "raised_at", "resolved_at")
    list_filter = ("code", ("resolved_at", admin.EmptyFieldListFilter))
    list_select_related = ("endpoint",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Alerts resolve themselves."""
        return False
