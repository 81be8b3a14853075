"""The provisioning wizard: what is wanted, a dry run that costs nothing, then it is made."""

from dataclasses import fields
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import site
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from jobs.lib.errors import InvalidInput, SlipwayError
from jobs.models import Endpoint, GpuPrice
from jobs.runpod.errors import RunPodError
from jobs.services.operations import accounts, endpoint_spec, provisioning
from jobs.services.operations.endpoint_spec import SCALER_TYPES, EndpointSpec
from jobs.services.operations.provisioning import Plan

USUAL_TIERS = ["AMPERE_24", "ADA_24", "AMPERE_48", "ADA_48_PRO"]


def _text(**attrs: Any) -> Any:
    return UnfoldAdminTextInputWidget(attrs=attrs)


class ProvisionForm(forms.Form):
    """What is wanted, field by field as in `EndpointSpec`."""

    name = forms.SlugField(
        max_length=60,
        widget=_text(placeholder="upscale"),
        help_text="Its address here (/new/<name>/) and its name at RunPod. A name that "
        "exists is changed: a new release.",
    )
    image = forms.CharField(
        max_length=300,
        widget=_text(placeholder="you/worker:1.0"),
        help_text="With the handler in it. Its size is looked up on Docker Hub.",
    )
    gpu_ids = forms.MultipleChoiceField(
        label="GPU tiers",
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Every tier that fits: jobs wait when the only one is out of stock.",
    )
    models = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="From Hugging Face, one a line: organisation/name. Sizes are looked up.",
    )
    has_volume = forms.BooleanField(
        label="Network volume",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Keeps models between starts. Costs about $0.68 for 10 GB a month, "
        "always, and ties workers to its data centre.",
    )
    data_center = forms.CharField(
        label="Data centre",
        required=False,
        max_length=40,
        widget=_text(placeholder="US-TX-3"),
    )
    volume_gb = forms.IntegerField(
        label="Volume (GB)",
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Blank: as the models need.",
    )
    container_disk_gb = forms.IntegerField(
        label="Container disk (GB)",
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Blank: compressed image × 2.5 + 20.",  # noqa: RUF001 - typography
    )
    workers_min = forms.IntegerField(
        label="Workers, at least",
        initial=EndpointSpec.workers_min,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Those cost also without jobs.",
    )
    workers_max = forms.IntegerField(
        label="Workers, at most",
        initial=EndpointSpec.workers_max,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    idle_seconds = forms.IntegerField(
        label="Idle (s)",
        initial=EndpointSpec.idle_seconds,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="How long a worker waits for the next job; it costs meanwhile.",
    )
    scaler_type = forms.ChoiceField(
        label="Scale by",
        choices=list(SCALER_TYPES.items()),
        widget=UnfoldAdminSelectWidget,
    )
    scaler_value = forms.IntegerField(
        initial=EndpointSpec.scaler_value, widget=UnfoldAdminIntegerFieldWidget
    )
    env = forms.CharField(
        label="Environment",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="NAME=value, one a line. Secrets better as RunPod secrets: "
        "{{ RUNPOD_SECRET_name }}. Values are sent to RunPod and not kept here.",
    )
    start_command = forms.CharField(
        required=False, max_length=4000, widget=_text(), help_text="Best left empty."
    )
    contract = forms.ChoiceField(
        choices=Endpoint.Contract.choices, widget=UnfoldAdminSelectWidget
    )
    runner = forms.SlugField(
        required=False,
        max_length=60,
        widget=_text(placeholder="anonymize"),
        help_text="Which runner of our handler does the work.",
    )
    key_name = forms.ChoiceField(label="Account", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["gpu_ids"].choices = _tiers()  # type: ignore[attr-defined] # a choice field
        self.fields["gpu_ids"].initial = USUAL_TIERS
        names = accounts.key_names()
        self.fields["key_name"] = forms.ChoiceField(
            label="Account",
            required=False,
            choices=[(name, accounts.variable(name)) for name in names],
            widget=UnfoldAdminSelectWidget,
        )

    def clean_env(self) -> dict[str, str]:
        """Read NAME=value lines."""
        try:
            return endpoint_spec.variables(self.cleaned_data["env"].splitlines())
        except InvalidInput as error:
            raise forms.ValidationError(str(error)) from None

    def spec(self) -> EndpointSpec:
        """Return what is wanted."""
        cleaned = self.cleaned_data
        given = {field.name: cleaned[field.name] for field in fields(EndpointSpec)}
        given |= {
            "gpu_ids": tuple(cleaned["gpu_ids"]),
            "models": tuple(cleaned["models"].split()),
            "volume_gb": cleaned["volume_gb"] or 0,
            "container_disk_gb": cleaned["container_disk_gb"] or 0,
        }
        return EndpointSpec(**given)

    def show(self, error: InvalidInput) -> None:
        """Put each problem at its field."""
        for problem in error.problems:
            name = problem.pointer.removeprefix("/")
            self.add_error(name if name in self.fields else None, problem.message)


def _tiers() -> list[tuple[str, str]]:
    return [(tier.pool, _told(tier)) for tier in GpuPrice.objects.all()]


def _told(tier: GpuPrice) -> str:
    size = f"{tier.vram_gb} GB" if tier.vram_gb else ""
    price = f"${tier.per_second:.5f}/s" if tier.per_second else ""
    return " · ".join(filter(None, [tier.pool, size, tier.title, price]))


@require_http_methods(["GET", "HEAD", "POST"])
def provision(request: HttpRequest) -> HttpResponse:
    """Show the form; look, or do it."""
    if not request.user.has_perm("jobs.add_endpoint"):
        raise PermissionDenied
    form = ProvisionForm(request.POST or None)
    plan = None
    if request.method == "POST" and form.is_valid():
        if "make" in request.POST:
            made = _made(request, form)
            if made:
                return redirect("admin:endpoint_operate", made.pk)
        else:
            plan = _planned(form)
    context = {
        **site.each_context(request),
        "title": "Provision an endpoint",
        "form": form,
        "plan": plan,
        "has_account": bool(accounts.key_names()),
    }
    status = 422 if form.errors else 200
    return TemplateResponse(request, "admin/provision.html", context, status=status)


def _planned(form: ProvisionForm) -> Plan | None:
    try:
        plan = provisioning.plan(form.spec(), form.cleaned_data["key_name"])
    except (SlipwayError, RunPodError) as error:
        form.add_error(None, str(error))
        return None
    form.show(InvalidInput(*plan.problems))
    return plan


def _made(request: HttpRequest, form: ProvisionForm) -> Endpoint | None:
    cleaned = form.cleaned_data
    try:
        made = provisioning.provision(
            form.spec(),
            key_name=cleaned["key_name"],
            user=request.user,
            contract=cleaned["contract"],
            runner=cleaned["runner"],
        )
    except InvalidInput as error:
        form.show(error)
    except (SlipwayError, RunPodError) as error:
        form.add_error(None, f"{error} What was made stays; try again to go on.")
    else:
        text = f"{made} is endpoint {made.runpod_id} at RunPod."
        messages.success(request, text)
        return made
    return None
