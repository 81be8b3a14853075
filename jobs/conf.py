"""Slipway's own limits and times, with defaults; any `JOBS_<NAME>` setting overrides.

Read live (`conf.LEASE_SECONDS`), so a test may change one.
"""

from typing import Any

from django.conf import settings

_DEFAULTS: dict[str, Any] = {
    # The loop: one process holds its lease, for one shift after another
    "TICK_SECONDS": 0.2,
    "SHIFT_SECONDS": 25.0,
    "SHIFT_LEASE_SECONDS": 5.0,
    "STEP_LEASE_SECONDS": 12,
    "SUBMITTING_LOST_SECONDS": 45,
    "MAX_TAKES": 3,
    # Requests to one endpoint; RunPod takes 200 status, 100 run, 10 cancel a second
    "STATUS_PER_SECOND": 180.0,
    "RUN_PER_SECOND": 80.0,
    "CANCEL_PER_SECOND": 8.0,
    "HEALTH_PAUSE_SECONDS": 1.0,
    "POLL_FLOOR_SECONDS": 0.85,
    "POLL_RUNG_SECONDS": 40.0,
    "POLL_WAITING_SECONDS": 270.0,
    # Results of other people's handlers
    "COLLECT_MAX_FILES": 64,
    "COLLECT_MAX_BYTES": 5 * 1024**3,
    "NOT_FOUND_ANSWERS": 3,
    "NOT_FOUND_SECONDS": 20,
    # Jobs
    "INPUT_MAX_BYTES": 8 * 1024 * 1024,
    "QUEUE_SECONDS": 24 * 3600,
    "READING_MARGIN_SECONDS": 3600,
    "LINK_MARGIN_SECONDS": 3600,
    # Uploads
    "UPLOAD_MAX_BYTES": 100 * 1024**3,
    "UPLOAD_EXPIRES_SECONDS": 24 * 3600,
    "UPLOAD_IDLE_SECONDS": 30,
    "UPLOAD_PIECE_BYTES": 1024 * 1024,
    "UPLOAD_TAKE_OVER_SECONDS": 10,
    "VERIFY_INLINE_BYTES": 64 * 1024 * 1024,
    "DISK_RESERVE_BYTES": 256 * 1024 * 1024,
    "OUTPUT_MAX_BYTES": 100 * 1024**3,
    # Local endpoint
    "LONG_POLL_SECONDS": 25.0,
    "LONG_POLL_PAUSE_SECONDS": 0.2,
    "ITEM_ACK_SECONDS": 45,
    "ITEM_LEASE_SECONDS": 35,
    "ITEM_GONE_SECONDS": 15,
    "ITEM_MAX_DELIVERIES": 2,
    "ITEM_RESULT_SECONDS": 1800,
    "REFUSED_WORKER_PAUSE_SECONDS": 1.0,
    # Live pages
    "LIVE_PAUSE_SECONDS": 0.3,
    "LIVE_HEARTBEAT_SECONDS": 15.0,
}


def __getattr__(name: str) -> Any:
    if name not in _DEFAULTS:
        raise AttributeError(name)
    return getattr(settings, f"JOBS_{name}", _DEFAULTS[name])
