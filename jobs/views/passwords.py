"""Passwords: changed by who knows theirs, chosen anew by who has forgotten it."""

from typing import Any

from axes.utils import reset as open_door
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.http import require_http_methods

from jobs.lib import client_address, rates
from jobs.services.operations import audit
from jobs.services.people import passwords

A_MINUTE = 5  # wishes from one address
FORM = ["get", "head", "post", "options"]
SAID = (
    "If an account has this address, a mail is on its way. Its link works for an hour."
)


class AskForm(forms.Form):
    """Whose password is forgotten."""

    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    """Take the address; say the same whether or not it is known."""
    form = AskForm(request.POST or None)
    is_over = False
    if request.method == "POST" and settings.SENDS_MAIL and form.is_valid():
        caller = client_address.of(request)
        is_over = rates.count("password-reset", caller, A_MINUTE).is_over
        if not is_over:
            passwords.ask(form.cleaned_data["email"])
            messages.info(request, SAID)
            return redirect("sign_in")
        form.add_error(None, "That was often. Wait a minute, then try again.")
    status = 429 if is_over else 422 if form.errors else 200
    context = {"form": form, "sends_mail": settings.SENDS_MAIL}
    return render(request, "registration/forgotten.html", context, status=status)


class _Form:
    """What our forms do and Django's views do not: mistakes are 422."""

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the form with its mistakes."""
        context = self.get_context_data(form=form)  # type: ignore[attr-defined] # of a view
        answer: HttpResponse = self.render_to_response(context, status=422)  # type: ignore[attr-defined] # of a view
        return answer


class Choose(_Form, PasswordResetConfirmView):
    """Take a new password from who has the link."""

    http_method_names = FORM
    template_name = "registration/new_password.html"
    success_url = reverse_lazy("sign_in")

    def form_valid(self, form: Any) -> HttpResponse:
        """Save it, and let its owner in who was locked out."""
        answer = super().form_valid(form)
        open_door(username=form.user.get_username())
        audit.record(form.user, "password_reset", form.user.get_username())
        messages.success(self.request, "Your new password is set. Sign in with it.")
        return answer


class Change(_Form, PasswordChangeView):
    """Take a new password from who knows the old one."""

    http_method_names = FORM
    template_name = "account/password.html"
    success_url = reverse_lazy("password")

    def form_valid(self, form: Any) -> HttpResponse:
        """Save it; this session goes on, the others end."""
        answer = super().form_valid(form)
        audit.record(form.user, "password_changed", form.user.get_username())
        messages.success(
            self.request, "Your password is changed. You are signed out elsewhere."
        )
        return answer
