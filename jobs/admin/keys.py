"""API keys and people in the panel."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from jobs.admin.audited import Audited
from jobs.models import ApiKey
from jobs.services.operations import audit
from jobs.services.people import keys

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(Audited, DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """People."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(Audited, DjangoGroupAdmin, ModelAdmin):
    """Groups of people."""


@admin.register(ApiKey)
class ApiKeyAdmin(Audited, ModelAdmin):
    """Keys of programs. A new key's secret is shown once, right after saving."""

    list_display = ("name", "owner", "hint", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("owner",)
    fields = (
        "owner",
        "name",
        "scopes",
        "endpoints",
        "requests_per_minute",
        "expires_at",
    )
    actions = ("revoke",)

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: Any
    ) -> None:
        """Issue a key, or save its changes."""
        if change:
            super().save_model(request, obj, form, change)
            return
        key, secret = ApiKey.issue(
            owner=obj.owner,
            name=obj.name,
            scopes=obj.scopes,
            endpoints=obj.endpoints,
            requests_per_minute=obj.requests_per_minute,
            expires_at=obj.expires_at,
        )
        obj.pk = key.pk
        messages.warning(request, f"Copy this key now, it is not shown again: {secret}")

    @admin.action(description="Revoke the selected keys now", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        """Make keys useless at once."""
        for key in queryset.filter(revoked_at=None):
            keys.revoke(key)
            audit.record(request.user, "apikey_revoked", key)
