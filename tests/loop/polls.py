"""Polls for tests, as `tracking.due_polls` returns them."""

import uuid

from django.utils.timezone import now

from jobs.services.tracking import Poll


def make_poll(**fields):
    at = now()
    values = {
        "read_at": at,
        "job_id": uuid.uuid4(),
        "attempt_id": uuid.uuid4(),
        "runpod_id": "x",
        "status": "IN_PROGRESS",
        "takes": 0,
        "not_found_count": 0,
        "worker_id": "",
        "submitted_at": at,
        "started_at": at,
    }
    return Poll(**{**values, **fields})
