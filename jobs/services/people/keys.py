"""API keys as people manage them: issue and revoke."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from jobs.lib.errors import Conflict
from jobs.models import ApiKey
from jobs.models.api_key import MAX_KEYS, SCOPES

MEANINGS = {
    "jobs:read": "See jobs and fetch results",
    "jobs:write": "Create, cancel, repeat and delete jobs",
    "uploads:write": "Upload files",
    "endpoints:read": "See endpoints and their input",
    "endpoints:admin": "Empty queues (only with staff rights)",
    "webhooks:admin": "Manage webhooks and read their secrets",
}


def issue(
    owner: Any,
    *,
    name: str,
    scopes: list[str],
    endpoints: list[str],
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Return a new key and its secret; raise `Conflict` when there are too many."""
    with transaction.atomic():
        if ApiKey.objects.usable().filter(owner=owner).count() >= MAX_KEYS:
            text = f"You have {MAX_KEYS} keys already. Revoke one first."
            raise Conflict(text, code="too_many")
        return ApiKey.issue(
            owner=owner,
            name=name,
            scopes=[scope for scope in SCOPES if scope in scopes],
            endpoints=endpoints,
            expires_at=expires_at,
        )


def revoke(key: ApiKey) -> None:
    """Make a key unusable immediately."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now())
