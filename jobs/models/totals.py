"""Totals that outlive the jobs they count: retention deletes jobs, but not these."""

from django.conf import settings
from django.db import models

from jobs.models.endpoint import Endpoint


class Spend(models.Model):
    """The cost of jobs of one user, key and endpoint that ended on one day (UTC).

    Updated once per job, in the transaction that sets the job's cost.
    """

    day = models.DateField()
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="spends")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    # The id of the key, which may be deleted; 0 means a person on a page.
    api_key_id = models.BigIntegerField(default=0)
    jobs = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0)
    amount = models.DecimalField(max_digits=14, decimal_places=6, default=0)

    class Meta:
        ordering = ["day"]
        constraints = [
            models.UniqueConstraint(
                fields=["day", "endpoint", "user", "api_key_id"], name="spend_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.endpoint_id} ${self.amount}"


class JobHour(models.Model):
    """How many jobs of an endpoint ended in an hour, how, and how long they took.

    Counted repeatedly during the hour and the next one, then left unchanged.
    """

    hour = models.DateTimeField()
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="hours")
    completed = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    timed_out = models.PositiveIntegerField(default=0)
    # Seconds, of completed jobs only; null if there were none.
    run_p50 = models.FloatField(null=True)
    run_p95 = models.FloatField(null=True)
    wait_p50 = models.FloatField(null=True)
    wait_p95 = models.FloatField(null=True)

    class Meta:
        ordering = ["hour"]
        constraints = [
            models.UniqueConstraint(fields=["hour", "endpoint"], name="job_hour_once"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%F %H} {self.endpoint_id}"
