"""An API key: a secret for programs. Only its digest is stored."""

import hashlib
import secrets
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from jobs.models.prepared import Prepared

PREFIX = "slipway"
SCOPES = (
    "jobs:read",
    "jobs:write",
    "uploads:write",
    "endpoints:read",
    "endpoints:admin",
    "webhooks:admin",
)
MAX_KEYS = 20  # usable keys per user


def digest(secret: str) -> str:
    """Return the SHA-256 of a key, as stored. Keys have 190 random bits, so no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Queries that find keys."""

    def usable(self) -> Self:
        """Select the keys that are valid now."""
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=now()),
            revoked_at__isnull=True,
            owner__is_active=True,
        )

    def find(self, secret: str) -> "ApiKey | None":
        """Return the usable key with this secret, or None."""
        key: ApiKey | None = _BY_DIGEST.first(digest=digest(secret))
        return key if key and key.is_usable else None


class ApiKey(models.Model):
    """A key: its visible beginning (hint), its scopes and its owner."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_keys"
    )
    name = models.CharField(max_length=80)
    hint = models.CharField(max_length=24, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    endpoints = models.JSONField(
        default=list, blank=True, help_text="Slugs of the only endpoints; empty: all."
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Empty: as for everybody. 0: no limit."
    )
    created_at = models.DateTimeField(default=now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @classmethod
    def issue(
        cls, *, owner: Any, name: str, scopes: list[str] | None = None, **fields: Any
    ) -> tuple["ApiKey", str]:
        """Create a key and return it with its secret, which is never shown again."""
        hint = f"{PREFIX}_{secrets.token_hex(4)}"
        secret = f"{hint}_{secrets.token_hex(24)}"
        key = cls.objects.create(
            owner=owner,
            name=name,
            hint=hint,
            digest=digest(secret),
            scopes=list(SCOPES) if scopes is None else scopes,
            **fields,
        )
        return key, secret

    @property
    def is_usable(self) -> bool:
        """Whether the key is valid now; see `usable`."""
        is_over = self.expires_at is not None and self.expires_at <= now()
        is_off = self.revoked_at is not None or not self.owner.is_active
        return not (is_over or is_off)

    def allows(self, scope: str) -> bool:
        """Whether this key has the scope."""
        return scope in self.scopes

    def allows_endpoint(self, slug: str) -> bool:
        """Whether this key may use an endpoint."""
        return not self.endpoints or slug in self.endpoints


_BY_DIGEST = Prepared(
    lambda digest: ApiKey.objects.filter(digest=digest).select_related("owner"),
    digest=("one", "another"),
)
