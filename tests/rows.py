"""Reading rows back after something has happened to them."""

from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import now


def reread(row: Any) -> Any:
    """Return the same row as the database has it now."""
    row.refresh_from_db()
    return row


def ago(seconds: float) -> datetime:
    return now() - timedelta(seconds=seconds)


def is_in(moment: datetime, seconds: float, *, since: datetime) -> bool:
    """Whether `moment` is `seconds` after some time between `since` and now."""
    pause = timedelta(seconds=seconds)
    return since + pause <= moment <= now() + pause
