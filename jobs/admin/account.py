"""The accounts at RunPod in the panel: money, endpoints, pods, volumes, what is odd."""

from collections.abc import Callable
from functools import partial

from django.contrib import messages
from django.contrib.admin import site
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_POST, require_safe

from jobs.lib.errors import SlipwayError
from jobs.runpod.account import VOLUME_MAX_GB, Volume
from jobs.runpod.errors import RunPodError
from jobs.services.operations import accounts, overviews, volumes
from jobs.services.operations.overviews import Overview


@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Ask every account now; one that does not answer is said so."""
    if not request.user.has_perm("jobs.view_endpoint"):
        raise PermissionDenied
    context = {
        **site.each_context(request),
        "title": "Account at RunPod",
        "may_change": request.user.has_perm("jobs.change_endpoint"),
        "largest": VOLUME_MAX_GB,
        "accounts": [_seen(name) for name in accounts.key_names()],
    }
    return TemplateResponse(request, "admin/account.html", context)


@require_POST
def grow(request: HttpRequest) -> HttpResponse:
    """Make a volume larger."""
    size = request.POST.get("size_gb", "")
    gb = int(size) if size.isascii() and size.isdigit() else 0
    act = partial(volumes.grow, size_gb=gb)
    return _done(request, act, "{0.name} has {0.size_gb} GB.")


@require_POST
def delete(request: HttpRequest) -> HttpResponse:
    """Delete a volume that nothing uses."""
    return _done(request, volumes.delete, "{0.name} is deleted: {0.size_gb} GB.")


def _done(
    request: HttpRequest, act: Callable[..., Volume], message: str
) -> HttpResponse:
    """Do it to the volume that the form names, and say what came of it."""
    if not request.user.has_perm("jobs.change_endpoint"):
        raise PermissionDenied
    key_name, id = request.POST.get("key_name", ""), request.POST.get("id", "")
    try:
        volume = act(key_name, id, user=request.user)
    except (SlipwayError, RunPodError) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, message.format(volume))
    return redirect("admin:runpod_account")


def _seen(name: str) -> tuple[str, Overview | None, str]:
    try:
        return accounts.variable(name), overviews.overview(name), ""
    except (SlipwayError, RunPodError) as error:
        return accounts.variable(name), None, str(error)
