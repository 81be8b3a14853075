"""Uploads in the panel."""

from django.contrib import admin
from unfold.admin import ModelAdmin

from jobs.admin.jobs import ReadOnly
from jobs.models import Upload


@admin.register(Upload)
class UploadAdmin(ReadOnly, ModelAdmin):
    """Files on their way in, or ready."""

    list_display = ("filename", "owner", "size", "status", "content_type", "created_at")
    list_filter = ("status",)
    list_select_related = ("owner",)
    search_fields = ("filename", "owner__username", "sha256")
