"""The audit log in the panel."""

from django.contrib import admin
from unfold.admin import ModelAdmin

from jobs.admin.jobs import ReadOnly
from jobs.models import AuditEntry


@admin.register(AuditEntry)
class AuditAdmin(ReadOnly, ModelAdmin):
    """Who did what, and when."""

    list_display = ("at", "user", "action", "target", "detail")
    list_filter = ("action",)
    list_select_related = ("user",)
    search_fields = ("target", "user__username")
    date_hierarchy = "at"

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        """Nobody takes a line out."""
        return False
