"""How values look on pages."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.models import Alert, Artifact, Batch, Job, Upload
from jobs.services.files import downloads
from jobs.services.files.content_types import PREVIEWABLE
from jobs.services.operations import alerts
from jobs.states import JobStatus

register = template.Library()
MINUTE, HOUR = 60, 3600
TONES = {
    JobStatus.COMPLETED: "good",
    JobStatus.FAILED: "bad",
    JobStatus.TIMED_OUT: "bad",
    JobStatus.CANCELLED: "quiet",
    JobStatus.IN_PROGRESS: "busy",
    JobStatus.FINALIZING: "busy",
}


@register.simple_tag
def open_alerts() -> list[Alert]:
    """Return what the operator should hear of on every page."""
    return alerts.open_ones()


@register.simple_tag
def badge(job: Job) -> SafeString:
    """Show a job's status as a coloured word."""
    is_cancelling = bool(job.cancel_requested_at) and not job.has_ended
    label = "Cancelling" if is_cancelling else JobStatus(job.status).label
    tone = TONES.get(JobStatus(job.status), "wait")
    return format_html('<span class="badge {}">{}</span>', tone, label)


@register.filter
def dollars(amount: Decimal | float | None) -> str:
    """Show money: cents, and of small sums the first two digits that say something."""
    if amount is None:
        return "–"  # noqa: RUF001 - typography
    value = float(amount)
    return f"${value:,.2f}" if value >= 1 or not value else f"${value:.2g}"


@register.filter
def seconds(value: float | timedelta | None) -> str:
    """Show a span as people say it: 0.4 s, 12 s, 2 min 10 s, 1 h 5 min."""
    if value is None:
        return "–"  # noqa: RUF001 - typography
    total = value.total_seconds() if isinstance(value, timedelta) else value
    if total < 10:
        return f"{total:.1f} s"
    if total < MINUTE:
        return f"{total:.0f} s"
    if total < HOUR:
        return f"{total // MINUTE:.0f} min {total % MINUTE:.0f} s"
    return f"{total // HOUR:.0f} h {total % HOUR // MINUTE:.0f} min"


@register.filter
def upload_link(upload: Upload) -> str:
    """Return a fresh link to an upload."""
    return downloads.upload_url(upload)


@register.filter
def run_time(job: Job) -> timedelta | None:
    """Return how long a job took from its creation to its end."""
    return job.finished_at - job.created_at if job.finished_at else None


@register.filter
def batch_time(batch: Batch) -> timedelta | None:
    """Return how long a batch took from its creation to its end."""
    return batch.ended_at - batch.created_at if batch.ended_at else None


@register.filter
def pretty_json(value: Any) -> str:
    """Show JSON in lines."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def kind(artifact: Artifact) -> str:
    """Return how a file is previewed: image, video, audio, or nothing."""
    is_safe = artifact.content_type in PREVIEWABLE
    family = artifact.content_type.partition("/")[0]
    return family if is_safe and family in {"image", "video", "audio"} else ""


@register.filter
def link(artifact: Artifact) -> str:
    """Return a fresh signed link to a file."""
    return downloads.artifact_url(artifact)


@register.filter
def offsets(parts: list[tuple[str, int, float, str]]) -> list[tuple[float, float, str]]:
    """Return (where it begins, how wide, tone) for a bar of 100."""
    segments, at = [], 0.0
    for _, _, share, tone in parts:
        segments.append((at, share, tone))
        at += share
    return segments
