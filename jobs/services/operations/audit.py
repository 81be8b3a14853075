"""Writing the audit log."""

import logging
from typing import Any

from jobs.lib.redaction import redacted, redacted_json
from jobs.models import AuditEntry

logger = logging.getLogger(__name__)


def record(user: Any, action: str, target: object, **detail: Any) -> None:
    """Record an action. `user` is None for commands and for Slipway itself."""
    target_text = redacted(str(target))[:200]
    AuditEntry.objects.create(
        user=user, action=action, target=target_text, detail=redacted_json(detail)
    )
    logger.info("audit action=%s target=%s by=%s", action, target_text, user or "-")
