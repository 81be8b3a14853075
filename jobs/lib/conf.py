"""Slipway's own limits and times, with defaults.

The environment variable (or Django setting) `JOBS_<NAME>` overrides one. Values are
read on each use (`conf.LEASE_SECONDS`), so a test may change one.
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
    "HOLD_SECONDS": 30.0,  # longer than any silence that `egress` or a bucket allows
    "MAX_TAKES": 3,
    # Requests to one endpoint; RunPod allows 200 status, 100 run, 10 cancel a second
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
    # The JSON API
    "API_BODY_MAX_BYTES": 1024 * 1024,  # a job's may be as large as INPUT_MAX_BYTES
    "API_THREADS": 8,
    # For each key; 0: no limit. A key may have its own
    "API_READS_PER_MINUTE": 12_000,
    "API_WRITES_PER_MINUTE": 6_000,
    "API_BAD_KEYS_PER_MINUTE": 60,  # for each address
    # Jobs
    "INPUT_MAX_BYTES": 8 * 1024 * 1024,
    "IDEMPOTENCY_SECONDS": 24 * 3600,
    "QUEUE_SECONDS": 24 * 3600,
    "READING_MARGIN_SECONDS": 3600,
    "LINK_MARGIN_SECONDS": 3600,
    # Batches: items become jobs a few at a time
    "BATCH_MAX_ITEMS": 5000,
    "BATCH_IN_FLIGHT": 500,
    "BATCH_PAUSE_SECONDS": 0.5,
    "BATCH_DRY_RUN_ITEMS": 5000,  # of a file or bucket are checked in a dry run
    "BATCH_READ_TRIES": 20,  # without progress, before reading is given up
    "BATCH_READ_PAUSE_SECONDS": 30,
    # Where users may list and read: ["s3://bucket/prefix"]. null: everything in
    # S3_BUCKET except our own files; []: nowhere
    "BATCH_SOURCES": None,
    # Uploads
    "UPLOAD_MAX_BYTES": 100 * 1024**3,
    "UPLOAD_EXPIRES_SECONDS": 24 * 3600,
    "KNOWN_MARGIN_SECONDS": 3600,
    "UPLOAD_IDLE_SECONDS": 30,
    "UPLOAD_PIECE_BYTES": 1024 * 1024,
    "UPLOAD_TAKE_OVER_SECONDS": 10,
    "VERIFY_INLINE_BYTES": 64 * 1024 * 1024,
    "UPLOAD_SYNC_EACH_PATCH": False,  # True: no acknowledged byte is lost in a power cut
    "UPLOAD_TYPES": [],  # ["video/*", "image/png"]; empty: any, but fields may refuse
    "IMAGE_MAX_PIXELS": 400_000_000,
    # For each user; 0: no limit
    "USER_MAX_BYTES": 0,
    "USER_MAX_FILES": 0,
    "USER_OPEN_UPLOADS": 50,
    # A bucket: the minimum size of a part; R2 requires equal parts
    "PART_MIN_BYTES": 16 * 1024 * 1024,
    "PART_MAX_COUNT": 9000,
    "PART_LINK_SECONDS": 3600,
    "PARTS_SIGNED_AT_ONCE": 100,
    # Larger files are compared by size and parts only: hashing means reading them back
    "BUCKET_HASH_MAX_BYTES": 20 * 1024**3,
    # False if `manage.py doctor` says that the bucket lacks If-None-Match
    "BUCKET_CONDITIONAL_WRITES": True,
    # Days after the end of a job; endpoints may differ. 0: forever
    "KEEP_INPUTS_DAYS": 7,
    "KEEP_RESULTS_DAYS": 30,
    "KEEP_FAILED_DAYS": 30,
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
    # Webhooks (Standard Webhooks 1.0): pauses after each try that failed
    "WEBHOOK_PAUSES_SECONDS": [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
    "WEBHOOK_TIMEOUT_SECONDS": 20.0,
    "WEBHOOK_CLAIM_SECONDS": 60,  # then a message is due again if its courier died
    "WEBHOOK_RECEIVER_MAX": 4,  # concurrent messages to one address
    "WEBHOOK_GIVE_UP_DAYS": 5,
    "WEBHOOK_LOG_DAYS": 30,
    "USER_WEBHOOKS": 20,
    "COURIER_TICK_SECONDS": 0.5,
    # Private networks open to webhooks and file URLs of users: ["192.168.1.0/24"]
    "EGRESS_ALLOW": [],
    # Sampling of endpoints: with jobs, and without
    "SAMPLE_SECONDS": 20,
    "SAMPLE_IDLE_SECONDS": 300,
    "LOW_DAYS": 3,  # alert if the balance lasts for fewer days
    "ALERT_SECONDS": 60,  # how long a cause must last before its alert opens
    # Live pages
    "LIVE_PAUSE_SECONDS": 0.3,
    "LIVE_HEARTBEAT_SECONDS": 15.0,
}


NAMES: frozenset[str] = frozenset(_DEFAULTS)


def __getattr__(name: str) -> Any:
    if name not in _DEFAULTS:
        raise AttributeError(name)
    return getattr(settings, f"JOBS_{name}", _DEFAULTS[name])
