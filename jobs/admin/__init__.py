"""The operator's panel. Status is read-only; actions call services."""

from jobs.admin import alerts, endpoints, jobs, keys, uploads, webhooks

__all__ = ["alerts", "endpoints", "jobs", "keys", "uploads", "webhooks"]
