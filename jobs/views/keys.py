"""The page of a person's API keys."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.timezone import now
from django.views.decorators.http import require_http_methods, require_POST

from jobs.lib.errors import Conflict
from jobs.models import ApiKey, Endpoint
from jobs.models.api_key import SCOPES
from jobs.services.people import keys

LIVES = {"": "Never", "7": "In 7 days", "30": "In 30 days", "365": "In a year"}
USUAL = ["jobs:read", "jobs:write", "uploads:write", "endpoints:read"]


class KeyForm(forms.Form):
    """A key to issue."""

    name = forms.CharField(
        max_length=80, help_text="What uses it: you will see it in this list."
    )
    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=[(scope, keys.MEANINGS[scope]) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        initial=USUAL,
    )
    endpoints = forms.MultipleChoiceField(
        label="Only at",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Choose none for all endpoints.",
    )
    lives = forms.ChoiceField(
        label="Expires", required=False, choices=list(LIVES.items())
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Endpoint.objects.order_by("title").values_list("slug", "title")
        self.fields["endpoints"].choices = list(rows)  # type: ignore[attr-defined]

    def issue(self, owner: Any) -> str:
        """Issue the key and return its secret; raise `Conflict`."""
        cleaned = self.cleaned_data
        lives = timedelta(days=int(cleaned["lives"])) if cleaned["lives"] else None
        return keys.issue(
            owner,
            name=cleaned["name"],
            scopes=cleaned["scopes"],
            endpoints=cleaned["endpoints"],
            expires_at=now() + lives if lives else None,
        )[1]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def key_list(request: HttpRequest) -> HttpResponse:
    """List keys; issue one, and show its secret this once."""
    form, secret = KeyForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            secret, form = form.issue(request.user), KeyForm()
        except Conflict as error:
            form.add_error(None, str(error))
    user: Any = request.user
    mine = ApiKey.objects.filter(owner=user, revoked_at=None)
    context = {"form": form, "secret": secret, "keys": mine, "now": now()}
    status = 422 if form.errors else 200
    response = render(request, "account/keys.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    """Revoke a key."""
    user: Any = request.user
    key = get_object_or_404(ApiKey, pk=key_id, owner=user)
    keys.revoke(key)
    messages.success(request, f"“{key.name}” opens nothing any more.")
    return redirect("keys")
