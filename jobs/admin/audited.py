"""What every form of the panel does besides: a line in the audit log."""

from typing import Any

from django.http import HttpRequest

from jobs.services.operations import audit


class Audited:
    """For a ModelAdmin: adding, changing and deleting by its forms is written down."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write down that something was added."""
        audit.record(request.user, _name("added", obj), obj)
        return super().log_addition(request, obj, message)  # type: ignore[misc] # of ModelAdmin

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write down which fields were changed, without their values."""
        fields = [
            name
            for one in message
            if isinstance(one, dict)
            for name in one.get("changed", {}).get("fields", [])
        ]
        audit.record(request.user, _name("changed", obj), obj, fields=fields)
        return super().log_change(request, obj, message)  # type: ignore[misc] # of ModelAdmin

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Write down what was deleted."""
        for obj in queryset:
            audit.record(request.user, _name("deleted", obj), obj)
        return super().log_deletions(request, queryset)  # type: ignore[misc] # of ModelAdmin


def _name(what: str, obj: Any) -> str:
    return f"{obj._meta.model_name}_{what}"
