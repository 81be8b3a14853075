"""Turns job events into messages, and records the outcome of each message.

Messages follow Standard Webhooks 1.0: signed, with the same id on every try.
`jobs.shifts.courier` sends them. If it dies, its message is due again a minute later.
"""

import base64
import hashlib
import hmac
import json
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils.timezone import now
from pydantic_core import to_json

from jobs.lib import conf
from jobs.models import Delivery, DeliveryTry, Job, JobEvent, Webhook
from jobs.models.webhook import BATCH_TYPES, END_TYPES, EVENT_TYPES, TEST_TYPE
from jobs.services.lifecycle.job_json import PREFETCHED, job_json
from jobs.states import JobStatus

AT_ONCE = 200
LARGE_BYTES = 4096  # messages stay under 20 kB
ANSWER_KEPT = 2000
GONE = 410
NEEDED = (
    *("old_status", "new_status", "created_at", "job_id"),
    *("job__owner_id", "job__webhook_url", "job__webhook_events"),
)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one try; `status_code` is None if no answer came."""

    seconds: float
    status_code: int | None = None
    answer: str = ""
    error: str = ""
    retry_after: float = 0

    @property
    def is_success(self) -> bool:
        """Whether the answer is 2xx; a redirect is a failure."""
        return self.status_code is not None and 200 <= self.status_code < 300


# --- from events to messages ----------------------------------------------------------
def announce() -> int:
    """Write the messages for events not announced yet; return the number of events.

    Safe to repeat: a webhook gets one message for an event.
    """
    unannounced = JobEvent.objects.filter(is_announced=False).order_by("id")
    # Without inputs and outputs: most events have no receiver.
    events = list(unannounced.select_related("job").only(*NEEDED)[:AT_ONCE])
    if not events:
        return 0
    wanted = _wanted(events)
    shown = _shown({event.job_id for event, _, _ in wanted})
    messages = [
        Delivery(
            webhook=hook,
            event=event,
            job_id=event.job_id,
            url=url,
            event_type=_type(event),
            body=_body(_type(event), event.created_at, shown[event.job_id]),
        )
        for event, hook, url in wanted
        if event.job_id in shown
    ]
    with transaction.atomic():
        Delivery.objects.bulk_create(messages, ignore_conflicts=True)
        done = JobEvent.objects.filter(pk__in=[event.pk for event in events])
        done.update(is_announced=True)
    return len(events)


def _wanted(events: list[JobEvent]) -> list[tuple[JobEvent, Webhook, str]]:
    """Return (event, webhook, URL) for every message to write."""
    relevant = [event for event in events if _type(event)]
    hooks: dict[int, list[Webhook]] = defaultdict(list)
    owners = {event.job.owner_id for event in relevant}
    for hook in Webhook.objects.filter(owner__in=owners, is_active=True):
        hooks[hook.owner_id].append(hook)
    messages = [
        (event, hook, hook.url)
        for event in relevant
        for hook in hooks[event.job.owner_id]
        if hook.url and hook.wants(_type(event))
    ]
    own: dict[int, Webhook] = {}
    for event in relevant:
        if _type(event) in _own_events(event.job):
            owner = event.job.owner_id
            own[owner] = own.get(owner) or Webhook.of_jobs(owner)
            messages.append((event, own[owner], event.job.webhook_url))
    return messages


def _own_events(job: Job) -> Collection[str]:
    """Return the event types for the URL that the job itself names."""
    if not job.webhook_url:
        return ()
    return job.webhook_events or END_TYPES


def _type(event: JobEvent) -> str:
    if event.new_status == JobStatus.PENDING and event.old_status:
        return ""  # held again: a program cannot act on that
    return EVENT_TYPES.get(JobStatus(event.new_status), "")


def _shown(pks: Collection[Any]) -> dict[Any, dict[str, Any]]:
    jobs = Job.objects.filter(pk__in=pks).with_endpoint()
    return {job.pk: _thin(job_json(job)) for job in jobs.prefetch_related(*PREFETCHED)}


def _thin(job: dict[str, Any]) -> dict[str, Any]:
    """Drop large fields; `omitted` names them, and `urls.self` returns them."""
    del job["attempts"]
    large = ("input", "output", "metadata", "outputs", "progress")
    omitted = [name for name in large if len(to_json(job[name])) > LARGE_BYTES]
    return {**job, **dict.fromkeys(omitted), "omitted": omitted}


def _body(event_type: str, at: Any, data: dict[str, Any]) -> str:
    return to_json({"type": event_type, "timestamp": at, "data": data}).decode()


def announce_batch(owner: Any, status: str, batch: dict[str, Any]) -> None:
    """Write the messages about a batch's end, in the transaction that ends it."""
    hooks = Webhook.objects.visible_to(owner).filter(is_active=True)
    announce_to(hooks, BATCH_TYPES[status], batch)


def announce_to(hooks: Iterable[Webhook], kind: str, data: dict[str, Any]) -> None:
    """Write a message for each of these webhooks that wants this event type."""
    body = _body(kind, now(), data)
    Delivery.objects.bulk_create(
        Delivery(webhook=hook, url=hook.url, event_type=kind, body=body)
        for hook in hooks
        if hook.wants(kind)
    )


# --- by hand --------------------------------------------------------------------------
def send_test(webhook: Webhook) -> Delivery:
    """Write a test message."""
    data = {"message": "Slipway can reach this address."}
    return Delivery.objects.create(
        webhook=webhook,
        url=webhook.url,
        event_type=TEST_TYPE,
        body=_body(TEST_TYPE, now(), data),
    )


def replay(delivery: Delivery) -> None:
    """Send a message again, under the same id."""
    Delivery.objects.filter(pk=delivery.pk).update(
        status=Delivery.Status.PENDING, tries=0, due_at=now(), ended_at=None
    )
    delivery.refresh_from_db()


def rotate_secret(webhook: Webhook) -> None:
    """Sign with a new secret, and for a day with the old one as well."""
    rows = Webhook.objects.filter(pk=webhook.pk)
    rows.update(secret_version=F("secret_version") + 1, rotated_at=now())
    webhook.refresh_from_db()


def enable(webhook: Webhook) -> None:
    """Send to a disabled webhook again."""
    Webhook.objects.filter(pk=webhook.pk).update(
        is_active=True, disabled_reason="", failing_since=None
    )
    webhook.refresh_from_db()


# --- sending --------------------------------------------------------------------------
def claim(limit: int, on_the_way: Mapping[str, int]) -> list[Delivery]:
    """Claim due messages for this process.

    `on_the_way` is the number of messages being sent to each URL, which is limited.
    """
    most, count = conf.WEBHOOK_RECEIVER_MAX, Counter(on_the_way)
    full = [url for url in count if count[url] >= most]
    due = Delivery.objects.filter(due_at__lte=now(), status=Delivery.Status.PENDING)
    due = due.exclude(url__in=full)
    rows = due.select_related("webhook").order_by("due_at")[: limit * 4]
    later = now() + timedelta(seconds=conf.WEBHOOK_CLAIM_SECONDS)
    taken: list[Delivery] = []
    for row in rows:
        if len(taken) == limit or count[row.url] >= most:
            continue
        mine = Delivery.objects.filter(pk=row.pk, due_at=row.due_at)
        if mine.update(due_at=later, tries=F("tries") + 1):
            row.tries += 1
            count[row.url] += 1
            taken.append(row)
    return taken


def headers(delivery: Delivery) -> dict[str, str]:
    """Return the headers of one try (Standard Webhooks 1.0, "Webhook Headers")."""
    at = str(int(now().timestamp()))
    text = f"{delivery.message_id}.{at}.{delivery.body}".encode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "Slipway-Webhooks/1",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(
            _signature(secret, text) for secret in delivery.webhook.secrets
        ),
    }


def _signature(secret: str, text: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()


def heard(delivery: Delivery, outcome: Outcome) -> None:
    """Record the outcome of a try, and when the next one is due."""
    DeliveryTry.objects.create(
        delivery=delivery,
        number=delivery.log.count() + 1,
        seconds=outcome.seconds,
        status_code=outcome.status_code,
        answer=outcome.answer[:ANSWER_KEPT].replace("\0", "�"),
        error=outcome.error[:200],
    )
    hook, row = delivery.webhook, Delivery.objects.filter(pk=delivery.pk)
    if outcome.is_success:
        row.update(status=Delivery.Status.DELIVERED, due_at=None, ended_at=now())
        if hook.failing_since:
            Webhook.objects.filter(pk=hook.pk).update(failing_since=None)
        return
    # If its webhook was disabled in the meantime, there is no further try.
    row = row.filter(status=Delivery.Status.PENDING)
    pause = _pause(delivery.tries, outcome)
    if pause is None:
        row.update(status=Delivery.Status.FAILED, due_at=None, ended_at=now())
    else:
        row.update(due_at=now() + timedelta(seconds=pause))
    if hook.url:
        _note_failure(hook, outcome)


def _pause(tries: int, outcome: Outcome) -> float | None:
    """Return the seconds until the next try; None after the last one."""
    pauses: list[float] = conf.WEBHOOK_PAUSES_SECONDS
    if outcome.status_code == GONE or tries > len(pauses):
        return None
    jitter = random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, hides nothing
    return max(pauses[tries - 1] * jitter, outcome.retry_after)


def _note_failure(hook: Webhook, outcome: Outcome) -> None:
    rows = Webhook.objects.filter(pk=hook.pk)
    rows.filter(failing_since=None).update(failing_since=now())
    long_ago = now() - timedelta(days=conf.WEBHOOK_GIVE_UP_DAYS)
    if outcome.status_code == GONE:
        disable(hook, "The receiver answered 410 (Gone).")
    elif rows.filter(failing_since__lt=long_ago).exists():
        days = conf.WEBHOOK_GIVE_UP_DAYS
        disable(hook, f"No message was accepted for {days} days.")


def disable(hook: Webhook, reason: str) -> None:
    """Send nothing to this webhook until its owner enables it again."""
    Webhook.objects.filter(pk=hook.pk).update(is_active=False, disabled_reason=reason)
    waiting = Delivery.objects.filter(webhook=hook, status=Delivery.Status.PENDING)
    waiting.update(status=Delivery.Status.FAILED, due_at=None, ended_at=now())


def sweep() -> None:
    """Delete old messages."""
    old = now() - timedelta(days=conf.WEBHOOK_LOG_DAYS)
    done = Delivery.objects.filter(created_at__lt=old, due_at=None)
    pks = done.values_list("pk", flat=True)[: AT_ONCE * 5]
    Delivery.objects.filter(pk__in=list(pks)).delete()


def parsed(delivery: Delivery) -> Any:
    """Return a message's body as JSON."""
    return json.loads(delivery.body)
