"""Repeat a request, get one job (IETF draft-ietf-httpapi-idempotency-key-header)."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from jobs.lib import conf
from jobs.lib.errors import Conflict, InvalidInput, Malformed, Problem
from jobs.models import IdempotencyKey

MAX_LENGTH = 255


def read(header: str) -> str:
    """Return the key, sent bare or as a quoted string; raise `Malformed`."""
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 0 < len(key) <= MAX_LENGTH or not key.isascii() or not key.isprintable():
        text = f"Idempotency-Key must be 1 to {MAX_LENGTH} printable ASCII characters."
        raise Malformed(text)
    return key


def fingerprint(method: str, path: str, body: bytes) -> str:
    """Return a fingerprint of a request."""
    return hashlib.sha256(
        b"\0".join([method.encode(), path.encode(), body])
    ).hexdigest()


def once(
    owner: Any, key: str, fingerprint: str, work: Callable[[], Any]
) -> tuple[Any, bool]:
    """Return (answer, whether it comes from an earlier request).

    `work` runs in the transaction that writes the key: if it raises, both are undone
    and the client may repeat the request. Two simultaneous requests wait for each
    other. Raise `InvalidInput` if the key belongs to another request, `Conflict` while
    the first runs.
    """
    old = now() - timedelta(seconds=conf.IDEMPOTENCY_SECONDS)
    mine = IdempotencyKey.objects.filter(owner=owner, key=key)
    with transaction.atomic():
        mine.filter(created_at__lt=old).delete()
        row, is_new = IdempotencyKey.objects.get_or_create(
            owner=owner, key=key, defaults={"fingerprint": fingerprint}
        )
        if is_new:
            row.answer = work()
            row.save(update_fields=["answer"])
            return row.answer, False
    if row.fingerprint != fingerprint:
        text = "This Idempotency-Key was used for a different request. Use a new one."
        raise InvalidInput(Problem("", text, "idempotency_mismatch"))
    if row.answer is None:
        raise Conflict(
            "The first request with this key is still running.", code="running"
        )
    return row.answer, True


def sweep() -> None:
    """Delete keys that are older than a day."""
    old = now() - timedelta(seconds=conf.IDEMPOTENCY_SECONDS)
    IdempotencyKey.objects.filter(created_at__lt=old).delete()
