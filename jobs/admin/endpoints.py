"""Endpoints and local workers in the panel."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from unfold.admin import ModelAdmin

from jobs.admin import account, operate, provision
from jobs.admin.audited import Audited
from jobs.admin.jobs import ReadOnly
from jobs.lib.errors import SlipwayError
from jobs.models import Endpoint, LocalWorker
from jobs.runpod.errors import RunPodError
from jobs.services.operations import endpoints, provisioning


@admin.register(Endpoint)
class EndpointAdmin(Audited, ModelAdmin):
    """Set up endpoints; the page of each has the buttons."""

    list_display = ("title", "slug", "kind", "is_active", "state", "open")
    list_filter = ("kind", "is_active", "contract")
    search_fields = ("title", "slug", "runpod_id")
    actions = ("purge_queue", "pause", "wake")
    prepopulated_fields = {"slug": ("title",)}
    readonly_fields = ("unreachable_at", "purged_at")

    def get_urls(self) -> list[URLPattern]:
        """Add our own pages."""
        view = self.admin_site.admin_view
        own_urls = [
            path("provision/", view(provision.provision), name="endpoint_provision"),
            path("account/", view(account.account), name="runpod_account"),
            path("volumes/grow/", view(account.grow), name="volume_grow"),
            path("volumes/delete/", view(account.delete), name="volume_delete"),
            path("<int:pk>/operate/", view(operate.operate), name="endpoint_operate"),
            path(
                "<int:pk>/operate/<slug:action>/",
                view(operate.act),
                name="endpoint_act",
            ),
        ]
        urls: list[URLPattern] = own_urls + super().get_urls()
        return urls

    @admin.display(description="")
    def open(self, endpoint: Endpoint) -> str:
        """Link to its page."""
        url = reverse("admin:endpoint_operate", args=[endpoint.pk])
        return format_html('<a href="{}">Operate</a>', url)

    @admin.display(description="what is going on")
    def state(self, endpoint: Endpoint) -> str:
        """Say what was found when we last looked."""
        sentence = str(endpoint.diagnosis.get("sentence") or "Nothing is wrong")
        if endpoint.unreachable_at is None:
            return sentence
        since = date_format(endpoint.unreachable_at, "j M H:i")
        return f"{sentence} Unreachable since {since}."

    @admin.action(
        description="Purge the queue: drop jobs no worker has taken",
        permissions=["change"],
    )
    def purge_queue(self, request: HttpRequest, queryset: Any) -> None:
        """Empty the backend's queue; our queued jobs become CANCELLED."""
        for endpoint in queryset:
            try:
                removed = endpoints.purge_queue(endpoint, user=request.user)
            except RunPodError as error:
                messages.error(request, f"{endpoint}: {error}")
            else:
                messages.success(request, f"{endpoint}: {removed} jobs dropped.")

    @admin.action(
        description="Pause: accept no new jobs",
        permissions=["change"],
    )
    def pause(self, request: HttpRequest, queryset: Any) -> None:
        """Stop accepting jobs; those accepted go on."""
        self._each(request, queryset, provisioning.pause, "paused")

    @admin.action(
        description="Wake: accept jobs, let RunPod start workers",
        permissions=["change"],
    )
    def wake(self, request: HttpRequest, queryset: Any) -> None:
        """Accept jobs again."""
        self._each(request, queryset, provisioning.wake, "awake")

    def _each(self, request: HttpRequest, queryset: Any, do: Any, done: str) -> None:
        for endpoint in queryset:
            try:
                do(endpoint, user=request.user)
            except (SlipwayError, RunPodError) as error:
                messages.error(request, f"{endpoint}: {error}")
            else:
                messages.success(request, f"{endpoint} is {done}.")


@admin.register(LocalWorker)
class LocalWorkerAdmin(ReadOnly, ModelAdmin):
    """Workers that take from local queues, as last heard of."""

    list_display = (
        *("id", "queue", "last_seen_at", "gone_at", "sdk_version"),
        "unhealthy_reason",
    )
    list_filter = ("queue",)
