"""Progress of third-party handlers: whatever they post while a job runs.

RunPod shows the last `progress_update` as `output` of a running job (runpod-python
`rp_progress.py`). It may be any JSON and may come late, twice or out of order. We
number and show it, and never treat it as a result.
"""

import math
from typing import Any

from jobs.lib import clean_json

MESSAGE_MAX = 200
_FRACTIONS = ("fraction", "progress", "pct", "percent", "percentage")
_MESSAGES = ("message", "status", "detail", "text")


def newer(old: dict[str, Any], output: Any) -> dict[str, Any] | None:
    """Return the progress to show after `output`, or None if nothing changed.

    A fraction never decreases within an attempt.
    """
    fraction, message, stage = _read(clean_json.mended(output))
    before = old.get("fraction")
    if fraction is not None and before is not None and fraction < before:
        return None
    progress = {
        "fraction": before if fraction is None else fraction,
        "message": message,
        "stage": stage,
    }
    if all(old.get(name) == value for name, value in progress.items()):
        return None
    return {**progress, "seq": int(old.get("seq", 0)) + 1}


def _read(output: Any) -> tuple[float | None, str, str]:
    """Return (fraction, message, stage) of any JSON value."""
    if not isinstance(output, dict):
        number = _fraction(output, is_percent=None)
        return number, "" if number is not None else _text(output), ""
    fraction = None
    for name in _FRACTIONS:
        if name in output and fraction is None:
            is_percent = None if name in {"fraction", "progress"} else True
            fraction = _fraction(output[name], is_percent=is_percent)
    message = next((_text(output[n]) for n in _MESSAGES if output.get(n)), "")
    return fraction, message, _text(output.get("stage"))[:60]


def _fraction(value: Any, *, is_percent: bool | None) -> float | None:
    """Return 0 to 1: up to 1 is read as a fraction, more as per cent, unless stated."""
    if isinstance(value, str) and value.strip().endswith("%"):
        value, is_percent = value.strip().rstrip("% "), True
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    if is_percent or (is_percent is None and number > 1):
        number /= 100
    return min(1.0, max(0.0, number))


def _text(value: Any) -> str:
    return value[:MESSAGE_MAX] if isinstance(value, str) else ""
