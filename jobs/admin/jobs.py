"""Jobs in the panel."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminSelectWidget

from jobs.lib.errors import SlipwayError
from jobs.models import Attempt, Endpoint, Job, JobEvent
from jobs.services.lifecycle import jobs
from jobs.services.operations import audit
from jobs.states import JobStatus

TONES = {
    JobStatus.COMPLETED: "success",
    JobStatus.FAILED: "danger",
    JobStatus.TIMED_OUT: "danger",
    JobStatus.IN_PROGRESS: "info",
    JobStatus.FINALIZING: "info",
    JobStatus.UNCONFIRMED: "warning",
}


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


class MoveForm(ActionForm):
    """Beside the actions: where to move jobs to."""

    endpoint = forms.ModelChoiceField(
        Endpoint.objects.filter(is_active=True),
        required=False,
        empty_label="(endpoint, to move to)",
        widget=UnfoldAdminSelectWidget,
    )


class AttemptInline(ReadOnly, TabularInline):
    """Each try, in the backend's own words."""

    model = Attempt
    fields = readonly_fields = (
        *("number", "runpod_id", "worker_id"),
        *("raw_status", "raw_error", "delay_ms", "execution_ms", "ended_at"),
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

    list_display = (
        *("id", "endpoint", "owner", "state", "trouble"),
        *("run_seconds", "cost", "created_at"),
    )
    list_filter = ("status", "endpoint", "reason", "error_code")
    list_per_page = 50
    ordering = ("-created_at", "-id")
    list_select_related = ("owner",)
    search_fields = ("id", "owner__username", "error_message")
    show_full_result_count = False
    inlines = (AttemptInline, EventInline)
    actions = ("cancel", "run_again", "move")
    action_form = MoveForm

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave out what may be megabytes; the page of one job reads it then."""
        return super().get_queryset(request).in_brief()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Jobs go by retention, never by hand."""
        return False

    @display(description="status", ordering="status", label=TONES)  # type: ignore[untyped-decorator] # unfold has no types
    def state(self, job: Job) -> tuple[str, str]:
        """Show the status as a badge."""
        return job.status, job.get_status_display()

    @admin.display(description="why")
    def trouble(self, job: Job) -> str:
        """Show why it has no result."""
        return job.reason or job.error_message[:80]

    @admin.display(description="run (s)")
    def run_seconds(self, job: Job) -> str:
        """Show how long it ran."""
        if not job.started_at or not job.finished_at:
            return ""
        return f"{(job.finished_at - job.started_at).total_seconds():.1f}"

    @admin.action(
        description="Move held jobs to the endpoint chosen", permissions=["view"]
    )
    def move(self, request: HttpRequest, queryset: Any) -> None:
        """Move what no backend has yet; the others say what to do."""
        chosen = Endpoint.objects.filter(pk=request.POST.get("endpoint") or 0).first()
        if chosen is None:
            messages.error(request, "Choose the endpoint beside the action.")
            return
        for job in queryset.select_related("endpoint", "owner"):
            try:
                is_moved = jobs.move_to(job, chosen)
            except SlipwayError as error:
                messages.error(request, f"{job}: {error}")
                continue
            if is_moved:
                audit.record(request.user, "job_moved", job.pk, to=chosen.slug)
                messages.success(request, f"{job} moved to {chosen}.")
            else:
                text = "is not held here any more. Cancel it, then run it again there."
                messages.warning(request, f"{job} {text}")

    @admin.action(description="Cancel the selected jobs", permissions=["view"])
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        """Cancel what has not ended."""
        count = sum(jobs.request_cancel(job) for job in queryset)
        audit.record(request.user, "jobs_cancelled", "", jobs=count)
        messages.info(request, f"Asked {count} of {len(queryset)} jobs to end.")

    @admin.action(description="Run the selected jobs again", permissions=["view"])
    def run_again(self, request: HttpRequest, queryset: Any) -> None:
        """Create a new job for each, for the same owner."""
        for job in queryset.select_related("endpoint", "owner"):
            try:
                new = jobs.run_again(job, owner=job.owner)
                audit.record(request.user, "job_run_again", job.pk, new=str(new.pk))
                messages.success(request, f"{job} runs again as {new}.")
            except SlipwayError as error:
                messages.error(request, f"{job}: {error}")
