"""Batches in the panel: to look at, cancel, and run failed items again."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin

from jobs.admin.jobs import ReadOnly
from jobs.models import Batch
from jobs.services.batching import batches
from jobs.services.operations import audit


@admin.register(Batch)
class BatchAdmin(ReadOnly, ModelAdmin):
    """Sets of jobs."""

    list_display = (
        "__str__",
        "endpoint",
        "owner",
        "total",
        "cost",
        "created_at",
        "page",
    )
    list_filter = ("endpoint", ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("endpoint", "owner")
    search_fields = ("id", "name", "owner__username")
    show_full_result_count = False
    exclude = ("cursor",)
    actions = ("cancel", "retry_failed")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Batches go with their jobs."""
        return False

    @admin.display(description="")
    def page(self, batch: Batch) -> str:
        """Link to its page."""
        return format_html('<a href="{}">Open</a>', reverse("batch", args=[batch.pk]))

    @admin.action(description="Cancel the selected batches", permissions=["view"])
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        """Cancel what has not ended."""
        for batch in queryset:
            batches.request_cancel(batch)
            audit.record(request.user, "batch_cancelled", batch.pk)
        messages.info(request, f"Asked {len(queryset)} batches to end.")

    @admin.action(description="Run failed items again", permissions=["view"])
    def retry_failed(self, request: HttpRequest, queryset: Any) -> None:
        """Run again what has no result."""
        for batch in queryset:
            number = batches.retry_failed(batch)
            audit.record(request.user, "batch_retried", batch.pk, items=number)
            messages.success(request, f"{batch}: {number} items run again.")
