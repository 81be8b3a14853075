"""The operator's dashboard: numbers for charts, in a constant number of queries.

It reads totals and samples and never counts all jobs, so a million jobs do not make it
slower than ten.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, Max, Min, Sum
from django.db.models.functions import ExtractMinute, TruncDay, TruncHour
from django.utils.timezone import now

from jobs.models import (
    AccountSample,
    Alert,
    Endpoint,
    HealthSample,
    Job,
    JobHour,
    Spend,
)
from jobs.states import ACTIVE, FAILURES, RUNNING

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
ENDS = ("completed", "failed", "cancelled", "timed_out")
WORKERS = ("running", "idle", "initializing", "throttled", "unhealthy", "in_queue")
FAILURES_SHOWN = 8
ENDPOINTS_PLOTTED = 7  # the others are shown as one sum
MINUTES = 10


@dataclass(frozen=True)
class Range:
    """A time range up to now, and the step of its charts."""

    name: str
    title: str
    span: timedelta
    step: timedelta


RANGES = (
    Range("24h", "24 hours", DAY, HOUR),
    Range("7d", "7 days", 7 * DAY, 6 * HOUR),
    Range("30d", "30 days", 30 * DAY, DAY),
    Range("90d", "90 days", 90 * DAY, DAY),
)


@dataclass(frozen=True)
class Series:
    """Lines or bars over the same points in time."""

    labels: list[str]
    lines: dict[str, list[float | None]]


@dataclass(frozen=True)
class Failure:
    """Failed jobs of an endpoint with the same message."""

    endpoint: str
    endpoint_id: int
    signature: str
    example: str
    number: int
    last_at: datetime


@dataclass(frozen=True)
class Place:
    """An endpoint with its current work and spend."""

    endpoint: Endpoint
    waiting: int
    running: int
    spent: float


@dataclass(frozen=True)
class Dashboard:
    """Everything that the dashboard shows."""

    range: Range
    active: Counter[str]
    places: list[Place]
    ended: Series
    workers: Series
    times: Series
    spend: Series
    failures: list[Failure]
    accounts: list[AccountSample]
    alerts: list[Alert]
    success_percent: float | None
    completed: int
    spent: float
    spent_today: float


def dashboard(name: str = "24h") -> Dashboard:
    """Return the dashboard for a range; an unknown name gives the first range."""
    span = next((one for one in RANGES if one.name == name), RANGES[0])
    at = now()
    endpoints = list(
        Endpoint.objects.defer("input_schema", "example_input", "observed")
    )
    active = _active()
    hours = _hours(span, at)
    spends = _spends(span, at)
    counts = Counter[str]()
    for row in hours:
        counts.update({end: row[end] for end in ENDS})
    judged = counts["completed"] + counts["failed"] + counts["timed_out"]
    today = sum(amount for (day, _), amount in spends.items() if day == at.date())
    return Dashboard(
        range=span,
        active=_by_status(active),
        places=_places(endpoints, active, spends),
        ended=_ended(hours, span, at),
        workers=_workers(span, at, _pools(endpoints)),
        times=_times(hours, span, at),
        spend=_spend(spends, endpoints, span, at),
        failures=_failures(endpoints, span, at),
        accounts=_accounts(),
        alerts=list(Alert.objects.filter(resolved_at=None).select_related("endpoint")),
        success_percent=round(100 * counts["completed"] / judged, 1)
        if judged
        else None,
        completed=counts["completed"],
        spent=sum(spends.values()),
        spent_today=today,
    )


def workers_of(endpoint: Endpoint) -> Series:
    """Return the samples of one endpoint over six hours, in steps of five minutes."""
    at = now()
    span = Range("", "", 6 * HOUR, timedelta(minutes=5))
    slots = _slots(span, at)
    names = ("running", "idle", "initializing", "throttled", "unhealthy", "in_queue")
    lines: dict[str, list[float | None]] = {name: [None] * len(slots) for name in names}
    rows = endpoint.samples.filter(taken_at__gte=slots[0]).values_list(
        "taken_at", *names
    )
    for taken_at, *counts in rows:
        place = _place(taken_at, slots, span)
        for name, count in zip(names, counts, strict=True):
            lines[name][place] = max(lines[name][place] or 0, count)
    return Series(_labels(slots, span), lines)


# --- now ------------------------------------------------------------------------------
def _active() -> dict[tuple[int, str], int]:
    rows = Job.objects.filter(status__in=ACTIVE).order_by()
    counted = rows.values_list("endpoint", "status").annotate(n=Count("pk"))
    return {(endpoint, status): number for endpoint, status, number in counted}


def _by_status(active: dict[tuple[int, str], int]) -> Counter[str]:
    counts = Counter[str]()
    for (_, status), number in active.items():
        counts[status] += number
    return counts


def _places(
    endpoints: list[Endpoint],
    active: dict[tuple[int, str], int],
    spends: dict[tuple[date, int], float],
) -> list[Place]:
    spent: dict[int, float] = defaultdict(float)
    for (_, endpoint), amount in spends.items():
        spent[endpoint] += amount
    counted: dict[int, Counter[bool]] = defaultdict(Counter)
    for (endpoint, status), number in active.items():
        counted[endpoint][status in RUNNING] += number
    return [
        Place(one, counted[one.pk][False], counted[one.pk][True], spent[one.pk])
        for one in endpoints
    ]


def _accounts() -> list[AccountSample]:
    newest: dict[str, AccountSample] = {}
    recent = AccountSample.objects.filter(taken_at__gte=now() - HOUR)
    for sample in recent.order_by("taken_at"):
        newest[sample.key_name] = sample
    return list(newest.values())


# --- over time ------------------------------------------------------------------------
def _hours(span: Range, at: datetime) -> list[dict[str, Any]]:
    trunc = TruncDay("hour") if span.step >= DAY else TruncHour("hour")
    rows = JobHour.objects.filter(hour__gte=_begin(span, at)).annotate(at=trunc)
    hours: Any = (
        rows.order_by()
        .values("at")
        .annotate(
            **{end: Sum(end) for end in ENDS},
            run_p50=Avg("run_p50"),
            run_p95=Max("run_p95"),
            wait_p50=Avg("wait_p50"),
            wait_p95=Max("wait_p95"),
        )
    )
    return list(hours)


def _ended(hours: list[dict[str, Any]], span: Range, at: datetime) -> Series:
    slots = _slots(span, at)
    lines: dict[str, list[float | None]] = {end: [0.0] * len(slots) for end in ENDS}
    for row in hours:
        place = _place(row["at"], slots, span)
        for end in ENDS:
            lines[end][place] = (lines[end][place] or 0) + row[end]
    return Series(_labels(slots, span), lines)


def _times(hours: list[dict[str, Any]], span: Range, at: datetime) -> Series:
    slots = _slots(span, at)
    names = ("wait_p50", "wait_p95", "run_p50", "run_p95")
    lines: dict[str, list[float | None]] = {name: [None] * len(slots) for name in names}
    for row in hours:
        place = _place(row["at"], slots, span)
        for name in names:
            if row[name] is not None:
                lines[name][place] = round(max(lines[name][place] or 0, row[name]), 2)
    return Series(_labels(slots, span), lines)


def _pools(endpoints: list[Endpoint]) -> dict[int, str]:
    """Return {endpoint: its pool of workers}: local endpoints of a queue share one."""
    return {
        one.pk: f"queue {one.queue_name}"
        if one.kind == Endpoint.Kind.LOCAL
        else one.runpod_id
        for one in endpoints
    }


def _workers(span: Range, at: datetime, pools: dict[int, str]) -> Series:
    """Sum the averages of each step; endpoints that share workers count once."""
    is_fine = span.step == HOUR
    step = timedelta(minutes=MINUTES) if is_fine else span.step
    fine = Range(span.name, span.title, span.span, step)
    trunc = TruncDay("taken_at") if span.step >= DAY else TruncHour("taken_at")
    rows = HealthSample.objects.filter(taken_at__gte=_begin(fine, at))
    keys = ["endpoint", "at"]
    rows = rows.annotate(at=trunc)
    if is_fine:
        rows = rows.annotate(tenth=ExtractMinute("taken_at") / MINUTES)
        keys.append("tenth")
    grouped = rows.order_by().values(*keys)
    averages = grouped.annotate(**{f"of_{name}": Avg(name) for name in WORKERS})
    slots = _slots(fine, at)
    seen: dict[str, dict[int, dict[str, float]]] = {
        name: defaultdict(dict) for name in WORKERS
    }
    for row in averages:
        when = row["at"] + timedelta(minutes=MINUTES * row.get("tenth", 0))
        place = _place(when, slots, fine)
        for name in WORKERS:
            by_pool = seen[name][place]
            # Workers may be shared; a job waits at one endpoint only.
            is_shared = name != "in_queue"
            pool = pools.get(row["endpoint"], "") if is_shared else str(row["endpoint"])
            by_pool[pool] = max(by_pool.get(pool, 0.0), row[f"of_{name}"])
    lines = {
        name: [
            round(sum(seen[name][n].values()), 2) if n in seen[name] else None
            for n in range(len(slots))
        ]
        for name in WORKERS
    }
    return Series(_labels(slots, fine), lines)


def _spends(span: Range, at: datetime) -> dict[tuple[date, int], float]:
    rows = Spend.objects.filter(day__gte=_first_day(span, at)).order_by()
    totals = rows.values_list("day", "endpoint").annotate(total=Sum("amount"))
    return {(day, endpoint): float(total) for day, endpoint, total in totals}


def _first_day(span: Range, at: datetime) -> date:
    """Return the first day of the cost chart, which shows at least a week."""
    return at.date() - max(span.span, WEEK) + DAY


def _spend(
    spends: dict[tuple[date, int], float],
    endpoints: list[Endpoint],
    span: Range,
    at: datetime,
) -> Series:
    first, last = _first_day(span, at), at.date()
    days = [first + n * DAY for n in range((last - first).days + 1)]
    totals: dict[int, float] = defaultdict(float)
    for (_, endpoint), amount in spends.items():
        totals[endpoint] += amount
    dearest = sorted(totals, key=lambda pk: -totals[pk])
    shown = [pk for pk in dearest if totals[pk]][:ENDPOINTS_PLOTTED]
    titles = {one.pk: one.title for one in endpoints}
    lines: dict[str, list[float | None]] = {}
    for pk in shown:
        lines[titles.get(pk, "?")] = [round(spends.get((d, pk), 0.0), 4) for d in days]
    others = [
        round(
            sum(a for (day, pk), a in spends.items() if day == d and pk not in shown), 4
        )
        for d in days
    ]
    if any(others):
        lines["others"] = list(others)
    return Series([f"{day:%d %b}" for day in days], lines)


def _failures(endpoints: list[Endpoint], span: Range, at: datetime) -> list[Failure]:
    failed = Job.objects.filter(status__in=FAILURES, finished_at__gte=_begin(span, at))
    rows = failed.order_by().values("endpoint", "error_signature")
    counted = rows.annotate(
        n=Count("pk"), example=Min("error_message"), last_at=Max("finished_at")
    ).order_by("-n", "-last_at")
    titles = {one.pk: one.title for one in endpoints}
    return [
        Failure(
            titles.get(row["endpoint"], ""),
            row["endpoint"],
            row["error_signature"],
            row["example"][:200] or "no message",
            row["n"],
            row["last_at"],
        )
        for row in counted[:FAILURES_SHOWN]
    ]


# --- time -----------------------------------------------------------------------------
def _begin(span: Range, at: datetime) -> datetime:
    return _slots(span, at)[0]


def _slots(span: Range, at: datetime) -> list[datetime]:
    """Return the start of each step; the last one contains `at`."""
    seconds = span.step.total_seconds()
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    passed = (at - midnight).total_seconds() // seconds
    last = midnight + timedelta(seconds=passed * seconds)
    number = round(span.span / span.step)
    return [last - span.step * n for n in range(number - 1, -1, -1)]


def _place(when: datetime, slots: list[datetime], span: Range) -> int:
    place = int((when - slots[0]) / span.step)
    return min(max(place, 0), len(slots) - 1)


def _labels(slots: list[datetime], span: Range) -> list[str]:
    form = (
        "%H:%M" if span.span <= DAY else "%d %b %H:%M" if span.step < DAY else "%d %b"
    )
    return [f"{slot:{form}}" for slot in slots]
