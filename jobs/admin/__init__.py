"""The operator's panel. Status is read-only; actions call services."""

from jobs.admin import endpoints, jobs, keys, uploads

__all__ = ["endpoints", "jobs", "keys", "uploads"]
