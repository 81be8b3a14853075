"""Jobs in the panel."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from jobs.errors import SlipwayError
from jobs.models import Attempt, Job, JobEvent
from jobs.services import jobs


class ReadOnly:
    """Rows that only the product itself writes."""

    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds one by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes one by hand."""
        return False


class AttemptInline(ReadOnly, TabularInline):
    """Each try, in the backend's own words."""

    model = Attempt
    fields = readonly_fields = (
        *("number", "runpod_id", "worker_id"),
        *("raw_status", "raw_error", "ended_at"),
    )


class EventInline(ReadOnly, TabularInline):
    """Every move."""

    model = JobEvent
    fields = readonly_fields = (
        *("created_at", "old_status", "new_status"),
        *("actor", "attempt_no", "note"),
    )


@admin.register(Job)
class JobAdmin(ReadOnly, ModelAdmin):
    """See jobs; cancel them and run them again."""

    list_display = ("id", "endpoint", "owner", "status", "reason", "created_at")
    list_filter = ("status", "endpoint", "reason")
    list_select_related = ("endpoint", "owner")
    search_fields = ("id", "owner__username", "error_message")
    show_full_result_count = False
    inlines = (AttemptInline, EventInline)
    actions = ("cancel", "run_again")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Jobs go by retention, never by hand."""
        return False

    @admin.action(description="Cancel the selected jobs", permissions=["view"])
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        """Cancel what has not ended."""
        count = sum(jobs.request_cancel(job) for job in queryset)
        messages.info(request, f"Asked {count} of {len(queryset)} jobs to end.")

    @admin.action(description="Run the selected jobs again", permissions=["view"])
    def run_again(self, request: HttpRequest, queryset: Any) -> None:
        """Create a new job for each, for the same owner."""
        for job in queryset.select_related("endpoint", "owner"):
            try:
                new = jobs.run_again(job, owner=job.owner)
                messages.success(request, f"{job} runs again as {new}.")
            except SlipwayError as error:
                messages.error(request, f"{job}: {error}")
