"""GPU prices and budgets. All amounts are US dollars."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from jobs.models.api_key import ApiKey
from jobs.models.endpoint import Endpoint


class GpuPrice(models.Model):
    """The price of a second on a GPU tier. Edit it when RunPod changes its prices."""

    pool = models.CharField("GPU tier", primary_key=True, max_length=40)
    title = models.CharField("GPUs", max_length=80, blank=True)
    vram_gb = models.PositiveIntegerField("VRAM (GB)", default=0)
    per_second = models.DecimalField(
        "price per second",
        max_digits=10,
        decimal_places=7,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="US dollars. Blank: not known; jobs there have no cost.",
    )

    class Meta:
        ordering = ["vram_gb", "pool"]
        verbose_name = "GPU price"

    def __str__(self) -> str:
        return self.pool


class Budget(models.Model):
    """How much a user, a key, an endpoint or everyone may spend in a period.

    When a budget is used up, new jobs are refused and accepted ones continue.
    """

    class Period(models.TextChoices):
        DAY = "day", "each day"
        MONTH = "month", "each month"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True
    )
    api_key = models.ForeignKey(ApiKey, models.CASCADE, null=True, blank=True)
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, null=True, blank=True)
    period = models.CharField(max_length=8, choices=Period, default=Period.MONTH)
    amount = models.DecimalField(
        max_digits=10,
        decimal_places=2,
        validators=[MinValueValidator(0)],
        help_text="US dollars. 0: nothing may be spent.",
    )
    warn_percent = models.PositiveSmallIntegerField(
        "warn at", default=80, help_text="Percent of the amount."
    )

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        whose = [str(one) for one in (self.user, self.api_key, self.endpoint) if one]
        return f"{' · '.join(whose) or 'Everybody'}: ${self.amount} {self.period_words}"

    @property
    def period_words(self) -> str:
        """Return “each day” or “each month”."""
        return str(self.get_period_display())

    def clean(self) -> None:
        """Refuse a key that belongs to another user."""
        if self.user and self.api_key and self.api_key.owner_id != self.user_id:
            raise ValidationError({"api_key": f"This key is not {self.user}'s."})
