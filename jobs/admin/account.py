"""The accounts at RunPod in the panel: money, endpoints, pods, volumes, what is odd."""

from django.contrib.admin import site
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from jobs.errors import SlipwayError
from jobs.runpod.errors import RunPodError
from jobs.services import accounts, overviews
from jobs.services.overviews import Overview


@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Ask every account now; one that does not answer is said so."""
    if not request.user.has_perm("jobs.view_endpoint"):
        raise PermissionDenied
    context = {
        **site.each_context(request),
        "title": "Account at RunPod",
        "accounts": [_seen(name) for name in accounts.key_names()],
    }
    return TemplateResponse(request, "admin/account.html", context)


def _seen(name: str) -> tuple[str, Overview | None, str]:
    try:
        return accounts.variable(name), overviews.overview(name), ""
    except (SlipwayError, RunPodError) as error:
        return accounts.variable(name), None, str(error)
