"""Rows. One noun per file."""

from jobs.models.alert import Alert
from jobs.models.api_key import ApiKey
from jobs.models.artifact import Artifact, artifact_key
from jobs.models.attempt import Attempt
from jobs.models.audit import AuditEntry
from jobs.models.batch import Batch, BatchChunk
from jobs.models.endpoint import Endpoint
from jobs.models.event import JobEvent
from jobs.models.idempotency_key import IdempotencyKey
from jobs.models.job import Job
from jobs.models.lease import HeldLease, Lease
from jobs.models.money import Budget, GpuPrice
from jobs.models.password_reset import PasswordReset
from jobs.models.queue_item import LocalWorker, QueueChunk, QueueItem
from jobs.models.sample import AccountSample, HealthSample
from jobs.models.totals import JobHour, Spend
from jobs.models.upload import Upload
from jobs.models.webhook import Delivery, DeliveryTry, Webhook

__all__ = [
    "AccountSample",
    "Alert",
    "ApiKey",
    "Artifact",
    "Attempt",
    "AuditEntry",
    "Batch",
    "BatchChunk",
    "Budget",
    "Delivery",
    "DeliveryTry",
    "Endpoint",
    "GpuPrice",
    "HealthSample",
    "HeldLease",
    "IdempotencyKey",
    "Job",
    "JobEvent",
    "JobHour",
    "Lease",
    "LocalWorker",
    "PasswordReset",
    "QueueChunk",
    "QueueItem",
    "Spend",
    "Upload",
    "Webhook",
    "artifact_key",
]
