"""The panel's first page: plots, endpoints, failures, money."""

import json
from typing import Any

from django.http import HttpRequest

from jobs.services.money import dashboard as service
from jobs.services.money.dashboard import RANGES, Series
from jobs.states import RUNNING

# Told apart in light and dark, and by people who do not see red or green.
COLOURS = {
    "completed": "#2f9e6e",
    "failed": "#d64545",
    "cancelled": "#9aa3b2",
    "timed_out": "#e08a2e",
    "running": "#2f7bd6",
    "idle": "#2f9e6e",
    "initializing": "#8f6fd6",
    "throttled": "#e08a2e",
    "unhealthy": "#d64545",
    "in_queue": "#9aa3b2",
    "run_p50": "#2f7bd6",
    "run_p95": "#9cc3ee",
    "wait_p50": "#e08a2e",
    "wait_p95": "#f0c99a",
}
PALETTE = (
    *("#2f7bd6", "#e08a2e", "#2f9e6e", "#8f6fd6", "#d64545"),
    *("#3aa7b8", "#b8742f", "#9aa3b2"),
)
NAMES = {
    "timed_out": "timed out",
    "in_queue": "jobs in queue",
    "run_p50": "run, median",
    "run_p95": "run, 95 %",
    "wait_p50": "wait, median",
    "wait_p95": "wait, 95 %",
}


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the dashboard to the index page (unfold's DASHBOARD_CALLBACK)."""
    context = {**context, "title": "Dashboard"}
    if not request.user.has_perms(["jobs.view_endpoint", "jobs.view_job"]):
        return context
    dashboard = service.dashboard(request.GET.get("range", ""))
    waiting = sum(n for s, n in dashboard.active.items() if s not in RUNNING)
    return {
        **context,
        "dashboard": dashboard,
        "ranges": RANGES,
        "waiting": waiting,
        "running": sum(dashboard.active.values()) - waiting,
        "charts": {
            "ended": chart(dashboard.ended, kind="bar"),
            "workers": chart(dashboard.workers, kind="line"),
            "times": chart(dashboard.times, kind="line", unit="s"),
            "spend": chart(dashboard.spend, kind="bar", unit="$"),
        },
    }


def chart(series: Series, *, kind: str, unit: str = "") -> dict[str, Any]:
    """Return what Chart.js draws, and the same as a table for those who hear it."""
    is_bar = kind == "bar"
    datasets = [
        {
            "label": NAMES.get(name, name),
            "data": values,
            "borderColor": COLOURS.get(name, PALETTE[n % len(PALETTE)]),
            "backgroundColor": COLOURS.get(name, PALETTE[n % len(PALETTE)]),
            "borderWidth": 0 if is_bar else 2,
            "pointRadius": 0,
            "tension": 0.25,
            "spanGaps": True,
        }
        for n, (name, values) in enumerate(series.lines.items())
    ]
    return {
        "kind": kind,
        "unit": unit,
        "is_empty": not any(any(line) for line in series.lines.values()),
        "data": json.dumps({"labels": series.labels, "datasets": datasets}),
        "options": json.dumps(_options(is_stacked=is_bar)),
        "totals": [
            (NAMES.get(name, name), round(sum(v or 0 for v in values), 4))
            for name, values in series.lines.items()
        ]
        if is_bar
        else [],
    }


def _options(*, is_stacked: bool) -> dict[str, Any]:
    ticks = {"color": "#8a93a3", "maxTicksLimit": 8, "maxRotation": 0}
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "maxBarThickness": 26,
        "plugins": {
            "legend": {
                "align": "start",
                "labels": {"boxWidth": 8, "boxHeight": 8, "color": "#8a93a3"},
            }
        },
        "scales": {
            "x": {"stacked": is_stacked, "grid": {"display": False}, "ticks": ticks},
            "y": {
                "stacked": is_stacked,
                "beginAtZero": True,
                "grid": {"drawTicks": False},
                "border": {"display": False},
                "ticks": {**ticks, "maxTicksLimit": 5, "precision": 0},
            },
        },
    }
