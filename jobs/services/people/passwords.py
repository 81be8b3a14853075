"""Forgotten passwords: requested on a page, mailed by a task.

The page behaves the same for known and unknown addresses. The link uses PUBLIC_URL,
whatever host the request named. It is created when the mail is sent and never stored.
"""

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.timezone import now

from jobs.lib import nudge
from jobs.models import Lease, PasswordReset
from jobs.services.operations import audit

logger = logging.getLogger(__name__)
GIVE_UP = timedelta(hours=1)
PAUSE = timedelta(minutes=10)  # between two mails to the same address
KEPT = timedelta(days=1)
AT_ONCE = 20


def ask(email: str) -> None:
    """Request a mail to the users who have this address."""
    PasswordReset.objects.create(email=email)
    nudge.password_resets()


def send_due() -> int:
    """Send the requested mails; return how many. One process at a time does it."""
    PasswordReset.objects.filter(asked_at__lt=now() - KEPT).delete()
    due = PasswordReset.objects.filter(sent_at=None, asked_at__gt=now() - GIVE_UP)
    if not due.exists():
        return 0
    sent = 0
    with Lease.held("password-resets") as lease:
        if lease is None:
            return 0
        for asked in due.order_by("asked_at")[:AT_ONCE]:
            lease.keep()
            sent += _send(asked)
    return sent


def _send(asked: PasswordReset) -> int:
    """Send the mails; if that fails, the next sweep tries again."""
    same = PasswordReset.objects.filter(email__iexact=asked.email)
    users = []
    if not same.filter(sent_at__gt=now() - PAUSE).exists():
        users = list(PasswordResetForm().get_users(asked.email))
    try:
        for user in users:
            _mail(user)
    except Exception as error:  # noqa: BLE001 - whatever a mail server does
        logger.warning("reset=%s not mailed: %s", asked.pk, type(error).__name__)
        return 0
    PasswordReset.objects.filter(pk=asked.pk).update(sent_at=now())
    return len(users)


def _mail(user: Any) -> None:
    id = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("new_password", args=[id, default_token_generator.make_token(user)])
    text = (
        f"Someone, probably you, asked for a new password for {user.get_username()} at "
        f"{settings.PUBLIC_URL}.\n\nChoose one within an hour:\n\n"
        f"{settings.PUBLIC_URL}{path}\n\n"
        "If it was not you, ignore this mail: the password stays unchanged.\n"
    )
    send_mail("[Slipway] A new password", text, None, [user.email])
    audit.record(None, "password_reset_sent", user.get_username())
