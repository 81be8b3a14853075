"""Alerts: what the operator must hear of, said once, until it is over."""

import logging

from django.db import transaction
from django.utils.timezone import now

from jobs.models import Alert, Endpoint

logger = logging.getLogger(__name__)

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
        "Set a valid key in the environment and restart. Held jobs then go on.",
    ),
    "payment_required": (
        "RunPod asks for payment (402): the account's balance is used up.",
        "Top up the balance at RunPod. Held jobs then go on.",
    ),
    "no_answers": (
        "RunPod does not answer for this endpoint, or answers with errors.",
        "Usually nothing: calls go on, ever more patiently. See RunPod's status page.",
    ),
}
STORE = "results_wait"
TEXTS[STORE] = (
    "Results of this endpoint wait: the disk is full, or the bucket does not answer.",
    "Run `manage.py doctor`; it says which, and what to do. Nothing is lost meanwhile.",
)
OF_STATUS = {401: "key_refused", 403: "key_refused", 402: "payment_required"}


def raise_alert(endpoint: Endpoint, code: str) -> None:
    """Open an alert, unless it is open already."""
    message, remedy = TEXTS[code]
    with transaction.atomic():
        _, is_new = Alert.objects.get_or_create(
            endpoint=endpoint,
            code=code,
            resolved_at=None,
            defaults={"message": message, "remedy": remedy},
        )
    if is_new:
        logger.warning("alert endpoint=%s %s: %s", endpoint.slug, code, message)


def resolve(endpoint: Endpoint, *codes: str) -> None:
    """Close the open alerts of these codes, or all about RunPod when none is given."""
    found = Alert.objects.filter(endpoint=endpoint, resolved_at=None)
    found = found.filter(code__in=codes) if codes else found.exclude(code=STORE)
    if found.update(resolved_at=now()):
        logger.info("alert endpoint=%s %s: over", endpoint.slug, ",".join(codes))


def open_ones() -> list[Alert]:
    """Return the open alerts with their endpoints, newest first."""
    return list(Alert.objects.filter(resolved_at=None).select_related("endpoint"))
