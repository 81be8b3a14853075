"""The operator's panel. Status is read-only; actions call services."""

from jobs.admin import (
    alerts,
    audit,
    batches,
    endpoints,
    jobs,
    keys,
    money,
    uploads,
    webhooks,
)

__all__ = [
    "alerts",
    "audit",
    "batches",
    "endpoints",
    "jobs",
    "keys",
    "money",
    "uploads",
    "webhooks",
]
