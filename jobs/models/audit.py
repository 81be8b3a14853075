"""The audit log: who did what to the installation, and when. Append-only."""

from django.conf import settings
from django.db import models
from django.utils.timezone import now


class AuditEntry(models.Model):
    """One action of an operator, by panel, command or API. Contains no secret."""

    at = models.DateTimeField(default=now, db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True
    )
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-at"]
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
