"""Samples: RunPod's figures for an endpoint or account at one moment. Never changed."""

from django.db import models
from django.utils.timezone import now

from jobs.models.endpoint import Endpoint
from jobs.runpod.account import Money


class HealthSample(models.Model):
    """The counts of an endpoint's /health, under RunPod's names."""

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="samples")
    taken_at = models.DateTimeField(default=now)
    # Workers
    idle = models.PositiveIntegerField(default=0)
    initializing = models.PositiveIntegerField(default=0)
    ready = models.PositiveIntegerField(default=0)
    running = models.PositiveIntegerField(default=0)
    throttled = models.PositiveIntegerField(default=0)
    unhealthy = models.PositiveIntegerField(default=0)
    # Jobs; completed and failed are running totals
    in_queue = models.PositiveIntegerField(default=0)
    in_progress = models.PositiveIntegerField(default=0)
    completed = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["taken_at"]
        indexes = [
            # The newest samples of one endpoint, and its chart.
            models.Index(fields=["endpoint", "taken_at"], name="sample_newest"),
            # Samples old enough to be deleted.
            models.Index(fields=["taken_at"], name="sample_age"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.taken_at:%F %T}"

    @property
    def workers(self) -> int:
        """Number of workers that exist, in any state but throttled."""
        return self.idle + self.initializing + self.running + self.unhealthy


class AccountSample(models.Model):
    """An account's balance and spend, in US dollars."""

    key_name = models.CharField(max_length=40, blank=True)
    taken_at = models.DateTimeField(default=now)
    balance = models.DecimalField(max_digits=12, decimal_places=4)
    spend_per_hour = models.DecimalField(max_digits=12, decimal_places=4)
    spend_limit = models.DecimalField(max_digits=12, decimal_places=2, null=True)

    class Meta:
        ordering = ["taken_at"]
        indexes = [models.Index(fields=["key_name", "taken_at"], name="account_newest")]

    def __str__(self) -> str:
        return f"{self.key_name or 'RUNPOD_API_KEY'} {self.taken_at:%F %T}"

    @property
    def days_left(self) -> float | None:
        """See `Money`."""
        return Money(self.balance, self.spend_per_hour).days_left
