"""Alerts: problems that the operator must know about, reported once until resolved."""

import logging
from collections.abc import Collection

from django.db import transaction
from django.utils.timezone import now

from jobs.lib.redaction import redacted
from jobs.models import Alert, Endpoint

logger = logging.getLogger(__name__)
TEXT_MAX = 300

# code: (what is wrong, what to do)
TEXTS = {
    "endpoint_not_found": (
        "RunPod answers 404 on every route of this endpoint. The likely cause is a "
        "negative account balance; a deleted endpoint looks the same.",
        "Check the balance at RunPod and top it up. If the 404 stays, recreate the "
        "endpoint and enter its new id here. Cancelled jobs can be run again.",
    ),
    "key_refused": (
        "RunPod refuses this endpoint's API key (401 or 403).",
        "Set a valid key in the environment and restart. Held jobs then continue.",
    ),
    "payment_required": (
        "RunPod asks for payment (402): the account's balance is used up.",
        "Top up the balance at RunPod. Held jobs then continue.",
    ),
    "no_answers": (
        "RunPod does not answer for this endpoint, or answers with errors.",
        "Usually nothing: Slipway keeps trying, at growing intervals. See RunPod's "
        "status page.",
    ),
}
STORE = "results_wait"
TEXTS[STORE] = (
    "Results of this endpoint wait: the disk is full, or the bucket does not answer.",
    "Run `manage.py doctor`; it says which, and what to do. Nothing is lost meanwhile.",
)
# Alerts that any good answer of the endpoint resolves.
OF_REACH = ("endpoint_not_found", "key_refused", "payment_required", "no_answers")
OF_STATUS = {401: "key_refused", 403: "key_refused", 402: "payment_required"}


def raise_alert(endpoint: Endpoint, code: str) -> None:
    """Open an alert, unless it is open already."""
    open_alert(code, *TEXTS[code], endpoint=endpoint)


def open_alert(
    code: str,
    message: str,
    remedy: str,
    *,
    endpoint: Endpoint | None = None,
    subject: str = "",
    severity: str = "error",
) -> None:
    """Open an alert about an endpoint or a subject, unless it is open already."""
    message, remedy = _short(message), _short(remedy)
    with transaction.atomic():
        _, is_new = Alert.objects.get_or_create(
            endpoint=endpoint,
            subject=subject,
            code=code,
            resolved_at=None,
            defaults={"message": message, "remedy": remedy, "severity": severity},
        )
    if is_new:
        where = endpoint.slug if endpoint else subject
        logger.warning("alert about=%s %s: %s", where, code, message)


def keep(
    code: str,
    message: str,
    remedy: str,
    *,
    subject: str,
    is_open: bool,
    severity: str = "error",
) -> None:
    """Open the alert of a subject, or resolve it."""
    if is_open:
        open_alert(code, message, remedy, subject=subject, severity=severity)
        return
    alerts = Alert.objects.filter(endpoint=None, subject=subject, code=code)
    if alerts.filter(resolved_at=None).update(resolved_at=now()):
        logger.info("alert about=%s %s: resolved", subject, code)


def forget(codes: Collection[str], subjects: Collection[str]) -> None:
    """Resolve open alerts about other subjects than these: they no longer exist."""
    about = Alert.objects.filter(endpoint=None, code__in=codes, resolved_at=None)
    about.exclude(subject__in=subjects).update(resolved_at=now())


def _short(text: str) -> str:
    return redacted(text)[:TEXT_MAX]


def resolve(endpoint: Endpoint, *codes: str) -> None:
    """Resolve open alerts of these codes, or all those that a good answer resolves."""
    alerts = Alert.objects.filter(endpoint=endpoint, resolved_at=None)
    alerts = alerts.filter(code__in=codes or OF_REACH)
    if alerts.update(resolved_at=now()):
        logger.info("alert endpoint=%s %s: resolved", endpoint.slug, ",".join(codes))


def open_ones() -> list[Alert]:
    """Return the open alerts with their endpoints, newest first."""
    return list(Alert.objects.filter(resolved_at=None).select_related("endpoint"))
