"""From findings to alerts: opened when trouble is certain, resolved when it ends."""

from dataclasses import asdict
from datetime import timedelta

from django.db.models import Q
from django.utils.timezone import now

from jobs.lib import conf
from jobs.lib.sizes import HOURS_A_MONTH
from jobs.models import AccountSample, Endpoint, HealthSample, Job
from jobs.services.operations import accounts, alerts
from jobs.services.operations.facts import Diagnosis
from jobs.states import ACTIVE

# Causes that need the operator. The others pass, or have their own alert.
OF_OPERATOR = {
    *("never_started", "scaled_to_zero", "image_missing", "handler_missing"),
    *("out_of_memory", "disk_full", "python_error", "worker_ends", "unhealthy"),
    *("crash_loop", "no_capacity", "startup_hangs", "worker_unfit", "no_worker"),
}
LOW_BALANCE, SPEND, STORAGE = "balance_low", "spend_limit", "storage_only"
OF_ACCOUNT = (LOW_BALANCE, SPEND, STORAGE)


def judge(endpoint: Endpoint, diagnosis: Diagnosis | None) -> None:
    """Store the diagnosis, open the alert of its cause and resolve those of others.

    A cause may disappear again within moments, so the alert opens only after the cause
    has lasted for a while.
    """
    cause = diagnosis.cause if diagnosis else ""
    before = endpoint.diagnosis
    is_same = before.get("cause", "") == cause
    since = before.get("since") if is_same else None
    stored = (
        {**asdict(diagnosis), "since": since or now().isoformat()} if diagnosis else {}
    )
    if stored != before:
        Endpoint.objects.filter(pk=endpoint.pk).update(diagnosis=stored)
        endpoint.diagnosis = stored
    lasting = (now() - timedelta(seconds=conf.ALERT_SECONDS)).isoformat()
    over = OF_OPERATOR - {cause}
    alerts.resolve(endpoint, *sorted(over))
    if diagnosis and cause in OF_OPERATOR and stored["since"] <= lasting:
        evidence = "; ".join(diagnosis.evidence)
        message = f"{diagnosis.sentence} ({evidence})"
        alerts.open_alert(cause, message, diagnosis.next_step, endpoint=endpoint)


def _has_run(key_name: str) -> bool:
    """Whether one of the account's jobs or workers was active within the last day."""
    since = now() - timedelta(days=1)
    mine = Endpoint.objects.filter(kind=Endpoint.Kind.RUNPOD, key_name=key_name)
    seen = HealthSample.objects.filter(endpoint__in=mine, taken_at__gte=since)
    if seen.filter(Q(running__gt=0) | Q(idle__gt=0) | Q(initializing__gt=0)).exists():
        return True
    jobs = Job.objects.filter(endpoint__in=mine)
    return jobs.filter(Q(finished_at__gte=since) | Q(status__in=ACTIVE)).exists()


def judge_account(seen: AccountSample) -> None:
    """Open or resolve the alerts about an account's balance and spend."""
    subject = accounts.variable(seen.key_name)
    days = seen.days_left
    is_low = seen.balance < 0 or (days is not None and days < conf.LOW_DAYS)
    left = f"; that lasts {days:.1f} days" if days is not None else ""
    alerts.keep(
        LOW_BALANCE,
        f"The balance is ${seen.balance:.2f} at ${seen.spend_per_hour:.3f} an hour{left}.",
        "Top it up at RunPod. A negative balance kills endpoints for good.",
        subject=subject,
        is_open=is_low,
    )
    rate = seen.spend_per_hour
    alerts.keep(
        STORAGE,
        f"The account spends ${rate:.3f} an hour although nothing has run for a day: "
        f"storage, about ${rate * HOURS_A_MONTH:.2f} a month.",
        "Delete unused volumes (manage.py audit names them), and stop pods.",
        subject=subject,
        is_open=rate > 0 and not _has_run(seen.key_name),
        severity="warning",
    )
    limit = seen.spend_limit
    alerts.keep(
        SPEND,
        f"The account spends ${seen.spend_per_hour:.2f} an hour; its limit is "
        f"${limit}.",
        "At the limit, RunPod starts no more workers. See manage.py audit.",
        subject=subject,
        is_open=limit is not None and 0 < limit <= seen.spend_per_hour,
    )
