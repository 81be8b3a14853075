"""An alert: something that only the operator can mend."""

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from jobs.models.endpoint import Endpoint


class Alert(models.Model):
    """One trouble of an endpoint, open until it is over."""

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="alerts")
    code = models.SlugField(max_length=40)
    message = models.CharField(max_length=300)
    remedy = models.CharField(max_length=300)
    raised_at = models.DateTimeField(default=now, editable=False)
    resolved_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-raised_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "code"],
                name="alert_open_once",
                condition=Q(resolved_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.message}"
