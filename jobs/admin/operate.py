"""One endpoint in the panel: why nothing runs there, and the buttons that fix it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import site
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.timezone import now
from django.views.decorators.http import require_POST, require_safe

from jobs.admin.dashboard import chart
from jobs.lib.errors import InvalidInput, SlipwayError
from jobs.models import AuditEntry, Endpoint
from jobs.runpod.errors import RunPodError
from jobs.services.money import dashboard
from jobs.services.operations import (
    accounts,
    audit,
    diagnosis,
    endpoint_spec,
    endpoints,
    provisioning,
    sampling,
    worker_schemas,
)

AUDITED = 8


class ReleaseForm(forms.Form):
    """What a release changes; empty stays as it is."""

    image = forms.CharField(required=False, max_length=300)
    container_disk_gb = forms.IntegerField(required=False, min_value=1, max_value=2000)
    workers_max = forms.IntegerField(required=False, min_value=1, max_value=100)
    env = forms.CharField(required=False, widget=forms.Textarea)

    def clean_env(self) -> dict[str, str]:
        """Read NAME=value lines."""
        try:
            return endpoint_spec.variables(self.cleaned_data["env"].splitlines())
        except InvalidInput as error:
            raise forms.ValidationError(str(error)) from None

    def settings(self) -> dict[str, Any]:
        """Return what is to be changed."""
        return {k: v for k, v in self.cleaned_data.items() if v not in (None, "", {})}


@require_safe
def operate(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one endpoint."""
    endpoint = _endpoint(request, pk)
    facts = diagnosis.facts_of(endpoint)
    context = {
        **site.each_context(request),
        "title": endpoint.title,
        "endpoint": endpoint,
        "facts": facts,
        "found": diagnosis.of(endpoint),
        "remote": endpoint.remote,
        "observed": endpoint.observed,
        "has_account": endpoint.kind == Endpoint.Kind.RUNPOD
        and endpoint.key_name in accounts.key_names(),
        "variable": accounts.variable(endpoint.key_name),
        "workers": chart(dashboard.workers_of(endpoint), kind="line"),
        "audit": AuditEntry.objects.filter(target=endpoint.slug).select_related("user")[
            :AUDITED
        ],
    }
    return TemplateResponse(request, "admin/operate.html", context)


@require_POST
def act(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Do what a button says, and say what came of it."""
    endpoint = _endpoint(request, pk)
    if action not in ACTIONS:
        raise Http404
    try:
        messages.success(request, ACTIONS[action](endpoint, request))
    except (SlipwayError, RunPodError, forms.ValidationError) as error:
        text = "; ".join(error.messages) if hasattr(error, "messages") else str(error)
        messages.error(request, f"{endpoint}: {text}")
    return redirect("admin:endpoint_operate", pk)


def _endpoint(request: HttpRequest, pk: int) -> Endpoint:
    if not request.user.has_perm("jobs.change_endpoint"):
        raise PermissionDenied
    return get_object_or_404(Endpoint, pk=pk)


# --- the buttons ----------------------------------------------------------------------
def _look(endpoint: Endpoint, request: HttpRequest) -> str:
    Endpoint.objects.filter(pk=endpoint.pk).update(sampled_at=now())
    sampling.sample(endpoint, is_asked=True)
    return "Looked at RunPod just now."


def _purge(endpoint: Endpoint, request: HttpRequest) -> str:
    removed = endpoints.purge_queue(endpoint, user=request.user)
    return f"{removed} jobs dropped from the queue; ours become CANCELLED."


def _recreate(endpoint: Endpoint, request: HttpRequest) -> str:
    old = endpoint.runpod_id
    new = provisioning.recreate(endpoint, user=request.user)
    return f"Made anew: {old} is now {new}, and everything names the new id."


def _pause(endpoint: Endpoint, request: HttpRequest) -> str:
    provisioning.pause(endpoint, user=request.user)
    return "Paused: no new jobs are accepted; accepted ones go on."


def _wake(endpoint: Endpoint, request: HttpRequest) -> str:
    provisioning.wake(endpoint, user=request.user)
    return "Awake: jobs are accepted, and RunPod may start workers."


def _delete(endpoint: Endpoint, request: HttpRequest) -> str:
    provisioning.delete(endpoint, user=request.user)
    return "Deleted at RunPod and paused here. Recreate brings it back."


def _release(endpoint: Endpoint, request: HttpRequest) -> str:
    form = ReleaseForm(request.POST)
    if not form.is_valid():
        raise forms.ValidationError([str(e) for es in form.errors.values() for e in es])
    changes = form.settings()
    if not changes:
        raise forms.ValidationError("Choose at least one thing to change.")
    made = provisioning.release(endpoint, user=request.user, **changes)
    sampling.sample(endpoint, is_asked=True)
    return f"{made.template.image} is being rolled out."


def _schema(endpoint: Endpoint, request: HttpRequest) -> str:
    schema = worker_schemas.fetch(endpoint)
    audit.record(request.user, "schema_fetched", endpoint.slug)
    return f"It takes {', '.join(schema.get('properties', {})) or 'nothing'}."


ACTIONS: dict[str, Callable[[Endpoint, HttpRequest], str]] = {
    "look": _look,
    "purge": _purge,
    "recreate": _recreate,
    "pause": _pause,
    "wake": _wake,
    "delete": _delete,
    "release": _release,
    "schema": _schema,
}
