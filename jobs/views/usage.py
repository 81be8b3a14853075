"""The page of what a person has spent."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from jobs.services.money import usage


@require_safe
@login_required
def show(request: HttpRequest) -> HttpResponse:
    """Show thirty days: by day, endpoint and key, and the budgets that bind."""
    return render(request, "account/usage.html", {"usage": usage.of(request.user)})
