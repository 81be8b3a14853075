"""A password that somebody has forgotten."""

from django.db import models
from django.utils.timezone import now


class PasswordReset(models.Model):
    """A wish for a mail with a link. The link is made when it is sent, and never kept."""

    email = models.EmailField()
    asked_at = models.DateTimeField(default=now, db_index=True)
    sent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"password reset {self.pk}"
