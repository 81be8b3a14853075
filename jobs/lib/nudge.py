"""Nudges: messages "look at row X now", sent after commit. They may get lost.

A lost nudge costs seconds, because the sweeps find every due row. So nothing here may
raise, wait or repeat. Services send task *names*; they never import `jobs.tasks`.
"""

import logging
from uuid import UUID

from celery import current_app
from django.db import transaction

logger = logging.getLogger(__name__)


def shift() -> None:
    """Start the next shift of the loop."""
    _send("jobs.work_shift")


def courier() -> None:
    """Start the next shift of the webhook courier."""
    _send("jobs.work_courier")


def password_resets() -> None:
    """Send the password mails that people requested."""
    transaction.on_commit(lambda: _send("jobs.send_password_resets"), robust=True)


def collect(pk: UUID) -> None:
    """Collect the files of a finished job."""
    _after_commit("jobs.collect_job", str(pk))


def upload(pk: UUID) -> None:
    """Verify an upload."""
    _after_commit("jobs.verify_upload", str(pk))


def enqueue(pk: UUID) -> None:
    """Read the items of a batch."""
    _after_commit("jobs.enqueue_batch", str(pk))


def queue_item(pk: str) -> None:
    """Call the webhook of a finished queue item."""
    _after_commit("jobs.ring_doorbell", pk)


def _after_commit(name: str, argument: str) -> None:
    transaction.on_commit(lambda: _send(name, argument), robust=True)


def _send(name: str, *arguments: str) -> None:
    try:
        current_app.send_task(name, args=arguments, retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001 - whatever a broker does, the row is safe
        logger.warning("nudge %s not sent: %s", name, type(error).__name__)
