"""Polls as `tracking.due_polls` returns them, and answers to them."""

import uuid

from django.utils.timezone import now

from jobs.models import Job
from jobs.runpod import RemoteJob
from jobs.services.lifecycle import tracking
from jobs.services.lifecycle.tracking import Poll


def make_poll(**fields):
    at = now()
    values = {
        "read_at": at,
        "job_id": uuid.uuid4(),
        "attempt_id": uuid.uuid4(),
        "runpod_id": "x",
        "status": "IN_PROGRESS",
        "unfinished_steps": 0,
        "not_found_count": 0,
        "worker_id": "",
        "submitted_at": at,
        "started_at": at,
    }
    return Poll(**{**values, **fields})


def due_poll(job):
    """Return the poll of a job whose time has come."""
    Job.objects.filter(pk=job.pk).update(due_at=now())
    polls = tracking.due_polls(job.endpoint, 99, ())
    return next(poll for poll in polls if poll.job_id == job.pk)


def remote(status, **fields):
    """Return an answer of RunPod about a job."""
    return RemoteJob("job-u1", status, **fields)
