"""A request for a new password."""

from django.db import models
from django.utils.timezone import now


class PasswordReset(models.Model):
    """A request to mail a link. The link is created on sending and never stored."""

    email = models.EmailField()
    asked_at = models.DateTimeField(default=now, db_index=True)
    sent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"password reset {self.pk}"
