"""Prices, budgets and what was spent, in the panel."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from jobs.admin.audited import Audited
from jobs.admin.jobs import ReadOnly
from jobs.models import Budget, GpuPrice, Spend
from jobs.services.money import budgets, costs


@admin.register(GpuPrice)
class GpuPriceAdmin(Audited, ModelAdmin):
    """What a second of a GPU tier costs."""

    list_display = ("pool", "title", "vram_gb", "per_second")

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: Any
    ) -> None:
        """Save, and use it from now on."""
        super().save_model(request, obj, form, change)
        costs.forget_prices()


@admin.register(Budget)
class BudgetAdmin(Audited, ModelAdmin):
    """Limits that act."""

    list_display = ("__str__", "period", "amount", "gone")
    list_select_related = ("user", "api_key", "endpoint")
    autocomplete_fields = ("user",)

    @admin.display(description="used")
    def gone(self, budget: Budget) -> str:
        """Show how much is spent or on its way."""
        standing = budgets.stand(budget)
        return f"{standing.percent} % (${standing.spent + standing.on_the_way:.2f})"

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: Any
    ) -> None:
        """Save, and let it act from now on."""
        super().save_model(request, obj, form, change)
        budgets.forget()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete it."""
        super().delete_model(request, obj)
        budgets.forget()


@admin.register(Spend)
class SpendAdmin(ReadOnly, ModelAdmin):
    """What was spent on each day, by user, key and endpoint."""

    list_display = (
        "day",
        "endpoint",
        "user",
        "api_key_id",
        "jobs",
        "seconds",
        "amount",
    )
    list_filter = ("endpoint",)
    list_select_related = ("endpoint", "user")
    date_hierarchy = "day"
    search_fields = ("user__username",)
