"""The pages of a user's webhooks: addresses, and what became of each message."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from jobs.lib.errors import SlipwayError
from jobs.models import Delivery, Webhook
from jobs.models.webhook import ALL_TYPES
from jobs.services.notifications import subscriptions, webhooks

PAGE = 25
OF_JOBS = "jobs"


class WebhookForm(forms.Form):
    """An address to tell."""

    url = forms.CharField(
        label="Address",
        max_length=2000,
        help_text="https://… It gets a signed POST when something happens to your jobs.",
    )
    description = forms.CharField(max_length=80, required=False)
    events = forms.MultipleChoiceField(
        label="Tell it of",
        required=False,
        choices=[(kind, kind) for kind in ALL_TYPES],
        widget=forms.CheckboxSelectMultiple,
        help_text="Choose none for all.",
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_list(request: HttpRequest) -> HttpResponse:
    """List webhooks; subscribe an address."""
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            hook = subscriptions.subscribe(request.user, **form.cleaned_data)
            return redirect("webhook", name=str(hook.pk))
        except SlipwayError as error:
            form.add_error("url", str(error))
    mine = Webhook.objects.visible_to(request.user)
    context = {"form": form, "webhooks": mine}
    status = 422 if form.errors else 200
    return render(request, "account/webhooks.html", context, status=status)


@login_required
@require_safe
def webhook(request: HttpRequest, name: str) -> HttpResponse:
    """Show one webhook with its messages."""
    hook = _named(request, name)
    deliveries = hook.deliveries.prefetch_related("log")
    page = Paginator(deliveries, PAGE).get_page(request.GET.get("page"))
    context = {"hook": hook, "page": page, "name": name}
    response = render(request, "account/webhook.html", context)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def change(request: HttpRequest, name: str) -> HttpResponse:
    """Send a test, rotate the secret, pause, go on, or delete."""
    hook, what = _named(request, name), request.POST.get("do", "")
    if what == "rotate":
        webhooks.rotate_secret(hook)
        text = "There is a new secret. The old one is good for a day beside it."
        messages.success(request, text)
    elif hook.url and what in DOINGS:
        messages.success(request, DOINGS[what](hook))
        if what == "delete":
            return redirect("webhooks")
    return redirect("webhook", name=name)


@login_required
@require_POST
def replay(request: HttpRequest, delivery_id: UUID) -> HttpResponse:
    """Send a message again."""
    user: Any = request.user
    mine = Delivery.objects.filter(webhook__owner=user)
    delivery: Delivery = get_object_or_404(
        mine.select_related("webhook"), pk=delivery_id
    )
    webhooks.replay(delivery)
    messages.success(request, "The message is being sent again.")
    hook = delivery.webhook
    return redirect("webhook", name=str(hook.pk) if hook.url else OF_JOBS)


def _named(request: HttpRequest, name: str) -> Webhook:
    user: Any = request.user
    if name == OF_JOBS:
        return Webhook.of_jobs(user.pk)
    mine: Any = Webhook.objects.visible_to(user)
    try:
        pk = UUID(name)
    except ValueError:
        pk = None
    hook: Webhook = get_object_or_404(mine, pk=pk)
    return hook


def _test(hook: Webhook) -> str:
    webhooks.send_test(hook)
    return "A test is on its way. Reload to see what came of it."


def _pause(hook: Webhook) -> str:
    subscriptions.change(hook, is_active=False)
    return "Nothing is sent there until you say so."


def _resume(hook: Webhook) -> str:
    subscriptions.change(hook, is_active=True)
    return "Messages are sent there again."


def _delete(hook: Webhook) -> str:
    hook.delete()
    return "The webhook is deleted."


DOINGS = {"test": _test, "pause": _pause, "resume": _resume, "delete": _delete}
