"""Counts what ended in each hour, so that the dashboard need not count jobs.

Every sweep counts the last two hours again; older hours are counted once. Counting
starts with the oldest job and catches up some days at a time.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count
from django.utils.timezone import now

from jobs.models import Job, JobHour
from jobs.states import JobStatus

HOUR = timedelta(hours=1)
HOURS_AT_ONCE = 24 * 7
TIMES_AT_ONCE = 20_000  # of an hour's completed jobs, for its percentiles


def count_hours() -> int:
    """Count the hours that are due; return how many."""
    hours = 0
    hour = _begin()
    while hour is not None and hours < HOURS_AT_ONCE:
        _count(hour)
        hours += 1
        hour = _next(hour + HOUR)  # skips hours in which nothing ended
    return hours


def _next(since: datetime) -> datetime | None:
    """Return the first hour from `since` on in which a job ended."""
    ended = Job.objects.filter(finished_at__gte=since).order_by("finished_at")
    first = ended.values_list("finished_at", flat=True).first()
    return _hour_of(first) if first else None


def _begin() -> datetime | None:
    """Return the first hour to count: the one before the newest counted hour."""
    newest = JobHour.objects.order_by("-hour").values_list("hour", flat=True).first()
    this = _hour_of(now())
    if newest is not None:
        return min(newest, this) - HOUR
    return _next(datetime.min.replace(tzinfo=UTC))


def _hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _count(hour: datetime) -> None:
    ended = Job.objects.filter(finished_at__gte=hour, finished_at__lt=hour + HOUR)
    rows: dict[int, dict[str, Any]] = defaultdict(dict)
    counts = ended.order_by().values_list("endpoint", "status").annotate(n=Count("pk"))
    for endpoint, status, number in counts:
        rows[endpoint][status.lower()] = number
    completed = ended.filter(status=JobStatus.COMPLETED, started_at__isnull=False)
    times = completed.order_by("-finished_at").values_list(
        "endpoint", "created_at", "started_at", "finished_at"
    )
    runs, waits = defaultdict(list), defaultdict(list)
    for endpoint, created_at, started_at, finished_at in times[:TIMES_AT_ONCE]:
        if started_at is None or finished_at is None:
            continue
        runs[endpoint].append((finished_at - started_at).total_seconds())
        waits[endpoint].append((started_at - created_at).total_seconds())
    for endpoint, row in rows.items():
        row |= _percentiles("run", runs[endpoint]) | _percentiles(
            "wait", waits[endpoint]
        )
    JobHour.objects.bulk_create(
        [JobHour(hour=hour, endpoint_id=pk, **row) for pk, row in rows.items()],
        update_conflicts=True,
        unique_fields=["hour", "endpoint"],
        update_fields=[*("completed", "failed", "cancelled", "timed_out"), *TIMES],
    )


TIMES = ("run_p50", "run_p95", "wait_p50", "wait_p95")


def _percentiles(name: str, spans: list[float]) -> dict[str, float]:
    if not spans:
        return {}
    ordered = sorted(spans)
    last = len(ordered) - 1
    return {
        f"{name}_p50": round(ordered[last // 2], 3),
        f"{name}_p95": round(ordered[int(last * 0.95)], 3),
    }
