"""Nudges: "look at row X now", sent after commit and allowed to get lost.

A lost nudge costs seconds, because the sweeps find every due row. So nothing here may
raise, wait or repeat. Services send task *names*; they never import `jobs.tasks`.
"""

import logging
from uuid import UUID

from celery import current_app
from django.db import transaction

logger = logging.getLogger(__name__)


def shift() -> None:
    """Have the loop go on."""
    _send("jobs.work_shift")


def courier() -> None:
    """Have messages to webhooks taken there."""
    _send("jobs.work_courier")


def password_resets() -> None:
    """Have the mails sent that people asked for."""
    transaction.on_commit(lambda: _send("jobs.send_password_resets"), robust=True)


def collect(pk: UUID) -> None:
    """Have the files of a plain endpoint's output fetched."""
    _after_commit("jobs.collect_job", str(pk))


def upload(pk: UUID) -> None:
    """Have the upload verified."""
    _after_commit("jobs.verify_upload", str(pk))


def enqueue(pk: UUID) -> None:
    """Have the items of a batch read."""
    _after_commit("jobs.enqueue_batch", str(pk))


def queue_item(pk: str) -> None:
    """Have the doorbell of a finished queue item rung."""
    _after_commit("jobs.ring_doorbell", pk)


def _after_commit(name: str, argument: str) -> None:
    transaction.on_commit(lambda: _send(name, argument), robust=True)


def _send(name: str, *arguments: str) -> None:
    try:
        current_app.send_task(name, args=arguments, retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001 - whatever a broker does, the row is safe
        logger.warning("nudge %s not sent: %s", name, type(error).__name__)
