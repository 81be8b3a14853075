"""Endpoints and local workers in the panel."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from jobs.admin.jobs import ReadOnly
from jobs.errors import SlipwayError
from jobs.models import Endpoint, LocalWorker
from jobs.runpod.errors import RunPodError
from jobs.services import endpoints, worker_schemas


@admin.register(Endpoint)
class EndpointAdmin(ModelAdmin):
    """Set up endpoints; purge their queues, pause and resume them."""

    list_display = ("title", "slug", "kind", "contract", "is_active", "unreachable_at")
    list_filter = ("kind", "is_active")
    search_fields = ("title", "slug", "runpod_id")
    actions = ("purge_queue", "pause", "resume", "fetch_schema")
    prepopulated_fields = {"slug": ("title",)}
    readonly_fields = ("unreachable_at", "purged_at")

    @admin.action(description="Purge the queue: drop jobs no worker has taken")
    def purge_queue(self, request: HttpRequest, queryset: Any) -> None:
        """Empty the backend's queue; our queued jobs become CANCELLED."""
        for endpoint in queryset:
            try:
                removed = endpoints.purge_queue(endpoint)
            except RunPodError as error:
                messages.error(request, f"{endpoint}: {error}")
            else:
                messages.success(request, f"{endpoint}: {removed} jobs dropped.")

    @admin.action(description="Take the input schema from a running worker")
    def fetch_schema(self, request: HttpRequest, queryset: Any) -> None:
        """Ask a worker of our handler what it takes; may take half a minute each."""
        for endpoint in queryset:
            try:
                schema = worker_schemas.fetch(endpoint)
            except (SlipwayError, RunPodError) as error:
                messages.error(request, f"{endpoint}: {error}")
            else:
                names = ", ".join(schema.get("properties", {})) or "nothing"
                messages.success(request, f"{endpoint} takes {names}.")

    @admin.action(description="Pause: accept no new jobs")
    def pause(self, request: HttpRequest, queryset: Any) -> None:
        """Stop accepting jobs; those accepted go on."""
        queryset.update(is_active=False)

    @admin.action(description="Resume: accept jobs again")
    def resume(self, request: HttpRequest, queryset: Any) -> None:
        """Accept jobs again."""
        queryset.update(is_active=True)


@admin.register(LocalWorker)
class LocalWorkerAdmin(ReadOnly, ModelAdmin):
    """Workers that take from local queues, as last heard of."""

    list_display = ("id", "queue", "last_seen_at", "gone_at", "sdk_version")
    list_filter = ("queue",)
