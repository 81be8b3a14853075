"""Notifies operators of alerts: by e-mail to ALERT_EMAILS, and by webhooks of staff.

Each alert is announced once when it opens and once when it is resolved. The next sweep
retries an e-mail that could not be sent; the courier delivers webhook messages.
"""

import logging
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F, Q
from django.utils.timezone import now

from jobs.models import Alert, HeldLease, Lease, Webhook
from jobs.services.notifications import webhooks

logger = logging.getLogger(__name__)
RAISED, RESOLVED = "alert.raised", "alert.resolved"
AT_ONCE = 20


def tell() -> int:
    """Notify operators of alerts; return how many. One process does it at a time."""
    untold = Q(told_at=None) | Q(resolved_at__isnull=False, over_told_at=None)
    if not Alert.objects.filter(untold).exists():
        return 0
    with Lease.held("alert-messages") as lease:
        return _tell_all(lease) if lease else 0


def _tell_all(lease: HeldLease) -> int:
    related = Alert.objects.select_related("endpoint")
    sent = 0
    for alert in related.filter(told_at=None).order_by("raised_at")[:AT_ONCE]:
        lease.keep()
        sent += _opened(alert)
    over = related.filter(resolved_at__isnull=False, over_told_at=None)
    for alert in over.filter(told_at__isnull=False).order_by("resolved_at")[:AT_ONCE]:
        lease.keep()
        sent += _over(alert)
    return sent


def _opened(alert: Alert) -> bool:
    """Write the messages once, then try to mail until it succeeds, at most 12 times."""
    mine = Alert.objects.filter(pk=alert.pk)
    with transaction.atomic():
        mine.update(mail_tries=F("mail_tries") + 1)
        if alert.mail_tries == 0:
            webhooks.announce_to(_hooks(), RAISED, _shown(alert))
    is_sent = _mailed(alert, is_over=False)
    if is_sent or alert.mail_tries + 1 >= Alert.MAIL_TRIES:
        mine.update(told_at=now())
    return is_sent


def _over(alert: Alert) -> bool:
    """Announce that the alert is resolved; mail only once."""
    with transaction.atomic():
        Alert.objects.filter(pk=alert.pk).update(over_told_at=now())
        webhooks.announce_to(_hooks(), RESOLVED, _shown(alert))
    return _mailed(alert, is_over=True)


def _mailed(alert: Alert, *, is_over: bool) -> bool:
    try:
        _mail(alert, is_over=is_over)
    except Exception as error:  # noqa: BLE001 - whatever a mail server does
        logger.warning("alert=%s not mailed: %s", alert.pk, type(error).__name__)
        return False
    return True


def _hooks() -> Any:
    return Webhook.objects.filter(owner__is_staff=True, is_active=True).exclude(url="")


def _mail(alert: Alert, *, is_over: bool) -> None:
    if not settings.ALERT_EMAILS:
        return
    about = alert.endpoint.title if alert.endpoint else alert.subject
    subject = f"[Slipway] {'Over: ' if is_over else ''}{about}: {alert.code}"
    lines = [alert.message, "", alert.remedy, "", f"{settings.PUBLIC_URL}/admin/"]
    if is_over:
        lines = [f"Resolved: {alert.message}", "", f"{settings.PUBLIC_URL}/admin/"]
    send_mail(subject, "\n".join(lines), None, settings.ALERT_EMAILS)


def _shown(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.pk,
        "endpoint": alert.endpoint.slug if alert.endpoint else None,
        "subject": alert.subject or None,
        "code": alert.code,
        "severity": alert.severity,
        "message": alert.message,
        "remedy": alert.remedy,
        "raised_at": alert.raised_at,
        "resolved_at": alert.resolved_at,
    }
