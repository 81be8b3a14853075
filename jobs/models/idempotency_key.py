"""An idempotency key: a request that creates work, and the answer it got."""

from django.conf import settings
from django.db import models
from django.utils.timezone import now


class IdempotencyKey(models.Model):
    """Written in the same transaction as the work, so that neither exists alone."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(default=now, editable=False, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "key"], name="idempotency_once"),
        ]

    def __str__(self) -> str:
        return self.key
