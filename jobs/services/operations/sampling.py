"""Samples endpoints and accounts regularly, for the diagnosis, charts and alerts.

An endpoint with jobs is sampled every 20 seconds, any other every five minutes. If jobs
wait and none runs, RunPod is asked for more: workers, their log, releases, stock.
"""

import logging
import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, Q
from django.db.models.functions import TruncHour
from django.utils.timezone import now

from jobs.lib import conf
from jobs.lib.errors import SlipwayError
from jobs.lib.redaction import redacted
from jobs.models import AccountSample, Endpoint, HealthSample, Job, Lease
from jobs.runpod import Health
from jobs.runpod.account import Account
from jobs.runpod.errors import Busy, EndpointNotFound, Refused, RunPodError
from jobs.runpod.rest import RestAccount
from jobs.services.operations import (
    accounts,
    alerts,
    diagnosis,
    endpoints,
    provisioning,
    watch,
)
from jobs.states import ACTIVE

logger = logging.getLogger(__name__)
JOBS = {"in_queue": "inQueue", "in_progress": "inProgress"}
LOG_KEPT, LINE_KEPT = 40, 300
CLOSER_SECONDS = 60
ROUND_SECONDS = 40.0
SAMPLE_DAYS = 90
FINE_DAYS = 2
HOURS_AT_ONCE = 500


def sample_due() -> int:
    """Sample the endpoints that are due, for a limited time; return how many.

    Only one process and one thread does this: slow answers from RunPod must not use up
    the threads that the loop needs.
    """
    if not due():
        return 0
    until, looked = time.monotonic() + ROUND_SECONDS, 0
    with Lease.held("sampling") as lease:
        if lease is None:
            return 0
        for endpoint in due():
            if time.monotonic() > until or not lease.keep():
                break
            if _claim(endpoint):
                sample(endpoint)
                looked += 1
    return looked


def due() -> list[Endpoint]:
    """Return the endpoints that are due, the one with the oldest sample first."""
    at = now()
    has_jobs = Exists(Job.objects.filter(endpoint=OuterRef("pk"), status__in=ACTIVE))
    soon = at - timedelta(seconds=conf.SAMPLE_SECONDS)
    later = at - timedelta(seconds=conf.SAMPLE_IDLE_SECONDS)
    is_due = Q(sampled_at=None) | Q(sampled_at__lte=later)
    is_due |= Q(has_jobs, sampled_at__lte=soon)
    askable = Q(kind=Endpoint.Kind.LOCAL) | ~Q(runpod_id="")
    # Skip a quiet endpoint that is paused or deleted at RunPod.
    askable &= Q(is_active=True) | Q(has_jobs) | ~Q(diagnosis={})
    due_endpoints = Endpoint.objects.filter(is_due, askable)
    return list(due_endpoints.order_by(F("sampled_at").asc(nulls_first=True)))


def _claim(endpoint: Endpoint) -> bool:
    """Claim an endpoint, unless another process has just sampled it."""
    same = Endpoint.objects.filter(pk=endpoint.pk, sampled_at=endpoint.sampled_at)
    return bool(same.update(sampled_at=now()))


def sample(endpoint: Endpoint, *, is_asked: bool = False) -> None:
    """Ask for health; look closer if jobs wait in vain; raise and resolve alerts.

    `is_asked`: a person asked, so look closer in any case.
    """
    try:
        with endpoints.client_for(endpoint) as client:
            _record(endpoint, client.health())
        refusal = ""
        if endpoint.unreachable_at:
            endpoints.mark_reachable(endpoint)
        alerts.resolve(endpoint)
    except RunPodError as error:
        refusal = _refusal(endpoint, error)
    if endpoint.kind == Endpoint.Kind.RUNPOD:
        _look(endpoint, refusal, is_asked=is_asked)
    watch.judge(endpoint, diagnosis.of(endpoint))


def _record(endpoint: Endpoint, health: Health) -> None:
    workers = {
        name: health.workers.get(name, 0)
        for name in (
            "idle",
            "initializing",
            "ready",
            "running",
            "throttled",
            "unhealthy",
        )
    }
    jobs = {field: health.jobs.get(key, 0) for field, key in JOBS.items()}
    ended = {name: health.jobs.get(name, 0) for name in ("completed", "failed")}
    HealthSample.objects.create(endpoint=endpoint, **workers, **jobs, **ended)


def _refusal(endpoint: Endpoint, error: RunPodError) -> str:
    """Return the code for an error; count 404s of the whole endpoint."""
    if isinstance(error, EndpointNotFound):
        endpoints.mark_unreachable(endpoint)
        return ""
    if isinstance(error, Refused):
        code = alerts.OF_STATUS.get(error.status, "")
        if code:
            alerts.raise_alert(endpoint, code)
        return code
    return "rate_limited" if isinstance(error, Busy) else "no_answers"


# --- a closer look --------------------------------------------------------------------
def _look(endpoint: Endpoint, refusal: str, *, is_asked: bool) -> None:
    """Write down what else RunPod shows, at most once a minute unasked."""
    observed = endpoint.observed
    recent = (now() - timedelta(seconds=CLOSER_SECONDS)).isoformat()
    is_known = observed.get("at", "") >= recent and refusal == observed.get("refusal")
    if is_known and not is_asked:
        return
    facts = diagnosis.facts_of(endpoint)
    is_stuck = facts.waiting and not facts.in_progress
    is_worth_it = is_asked or is_stuck or facts.not_found or not endpoint.remote
    seen: dict[str, Any] = {}
    if is_worth_it and endpoint.key_name in accounts.key_names():
        seen = _seen(endpoint)
    elif not refusal and not observed.get("refusal"):
        return
    observed = {**seen, "refusal": refusal, "at": now().isoformat()}
    Endpoint.objects.filter(pk=endpoint.pk).update(observed=observed)
    endpoint.observed = observed


def _seen(endpoint: Endpoint) -> dict[str, Any]:
    """Ask the account; leave out what it does not answer."""
    seen: dict[str, Any] = {}
    try:
        with accounts.open_account(endpoint.key_name) as account:
            seen |= _config(endpoint, account)
            seen["stock"] = _stock(account)
    except (RunPodError, SlipwayError) as error:
        logger.info("endpoint=%s account not readable: %s", endpoint.slug, error)
    try:
        with accounts.open_rest(endpoint.key_name) as rest:
            seen |= _workers(endpoint.runpod_id, rest)
    except (RunPodError, SlipwayError) as error:
        logger.info("endpoint=%s workers not readable: %s", endpoint.slug, error)
    return seen


def _config(endpoint: Endpoint, account: Account) -> dict[str, Any]:
    by_id = {one.id: one for one in account.endpoints()}
    remote = by_id.get(endpoint.runpod_id)
    if remote is None:
        return {"is_listed": False}
    if remote.workers_max:  # 0 would overwrite the number to wake up to
        provisioning.remember(endpoint, remote)
    return {"is_listed": True, "workers_max": remote.workers_max}


def _stock(account: Account) -> dict[str, str]:
    stock: dict[str, str] = {}
    for gpu in account.gpus():
        if gpu.pool:
            stock[gpu.pool] = stock.get(gpu.pool) or gpu.stock
    return stock


def _workers(endpoint_id: str, rest: RestAccount) -> dict[str, Any]:
    workers = rest.workers(endpoint_id)
    releases = rest.releases(endpoint_id)
    sick = [one for one in workers if one.status == "UNHEALTHY"] or workers[:1]
    log: list[str] = []
    for worker in sick[:1]:
        lines = rest.log_lines(endpoint_id, worker.id)
        log = [redacted(line)[:LINE_KEPT] for line in lines][-LOG_KEPT:]
    return {
        "workers": [asdict(one) for one in workers],
        "release": releases[0].status if releases else "",
        "log": log,
    }


# --- accounts -------------------------------------------------------------------------
def sample_accounts() -> None:
    """Record every account's balance and spend; raise and resolve alerts."""
    names = accounts.key_names()
    alerts.forget(watch.OF_ACCOUNT, [accounts.variable(name) for name in names])
    for key_name in names:
        try:
            with accounts.open_money(key_name) as account:
                money = account.money()
        except (RunPodError, SlipwayError) as error:
            name = accounts.variable(key_name)
            logger.info("account=%s balance not readable: %s", name, error)
            continue
        if money is not None:
            made = AccountSample.objects.create(
                key_name=key_name,
                balance=money.balance,
                spend_per_hour=money.spend_per_hour,
                spend_limit=money.spend_limit,
            )
            watch.judge_account(made)


# --- age ------------------------------------------------------------------------------
def thin() -> int:
    """Keep one sample an hour after two days, none after ninety; return how many went.

    The last sample of each hour stays. Each call handles a few hundred hours.
    """
    old = HealthSample.objects.filter(taken_at__lt=now() - timedelta(days=SAMPLE_DAYS))
    gone, _ = old.delete()
    AccountSample.objects.filter(
        taken_at__lt=now() - timedelta(days=SAMPLE_DAYS)
    ).delete()
    fine = now() - timedelta(days=FINE_DAYS)
    hours = HealthSample.objects.filter(taken_at__lt=fine).order_by()
    crowded = hours.values("endpoint", hour=TruncHour("taken_at")).annotate(
        n=Count("pk"), last=Max("taken_at")
    )
    for row in crowded.filter(n__gt=1)[:HOURS_AT_ONCE]:
        within = (row["hour"], row["hour"] + timedelta(hours=1))
        extra = HealthSample.objects.filter(
            endpoint=row["endpoint"], taken_at__gte=within[0], taken_at__lt=within[1]
        )
        gone += extra.exclude(taken_at=row["last"]).delete()[0]
    return gone
