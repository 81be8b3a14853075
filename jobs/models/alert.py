"""An alert: a problem that only an operator can fix."""

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from jobs.models.endpoint import Endpoint


class Alert(models.Model):
    """A problem of an endpoint or account, open until it is resolved."""

    endpoint = models.ForeignKey(
        Endpoint, models.CASCADE, null=True, blank=True, related_name="alerts"
    )
    # What the alert is about, if not an endpoint: an account or a budget.
    subject = models.CharField(max_length=120, blank=True)
    severity = models.CharField(
        max_length=10,
        choices=[("error", "error"), ("warning", "warning")],
        default="error",
    )
    code = models.SlugField(max_length=40)
    message = models.CharField(max_length=300)
    remedy = models.CharField(max_length=300)
    raised_at = models.DateTimeField(default=now, editable=False)
    resolved_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When operators were notified that the alert opened, and that it was resolved.
    told_at = models.DateTimeField(null=True, blank=True, editable=False)
    over_told_at = models.DateTimeField(null=True, blank=True, editable=False)
    mail_tries = models.PositiveSmallIntegerField(default=0, editable=False)

    MAIL_TRIES = 12

    class Meta:
        ordering = ["-raised_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "code"],
                name="alert_open_once",
                condition=Q(resolved_at__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["subject", "code"],
                name="alert_open_once_of_subject",
                condition=Q(resolved_at__isnull=True, endpoint__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint or self.subject}: {self.message}"
