"""Signed, expiring links and derived keys. SECRET_KEY is enough; nothing is stored.

A link carries a purpose (its salt), a value and its expiry in Unix seconds, so that a
link for one purpose does not work for another.
"""

import time
from base64 import b64encode
from datetime import timedelta

from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from jobs.lib.errors import LinkRefused

FILE = "slipway.file"  # value: "upload.<id>" or "artifact.<id>"
OUTPUT = "slipway.output"  # value: "<attempt id>.<base64 name>"
ATTEMPT = "slipway.attempt"  # value: "<attempt id>"
DOORBELL = "slipway.doorbell"  # value: "<attempt id>"


def sign(purpose: str, value: str, *, lives: timedelta) -> str:
    """Return `value` with an expiry, signed for `purpose`; safe inside a URL path."""
    expires = int(time.time() + lives.total_seconds())
    return signing.Signer(salt=purpose).sign(f"{value}.{expires}")


def read(purpose: str, signed: str) -> str:
    """Return the value of `signed`, or raise `LinkRefused`."""
    try:
        value, _, expires = signing.Signer(salt=purpose).unsign(signed).rpartition(".")
    except signing.BadSignature:
        raise LinkRefused("This link is not valid.", code="link_invalid") from None
    if int(expires) < time.time():
        raise LinkRefused("This link has expired.", code="link_expired")
    return value


def worker_key(queue: str, version: int) -> str:
    """Return the key with which workers take jobs from a local queue."""
    digest = salted_hmac("slipway.worker_key", f"{queue}:{version}", algorithm="sha256")
    return f"slipway_worker_{digest.hexdigest()[:40]}"


def local_client_key(slug: str) -> str:
    """Return the key with which our own client talks to our local endpoint."""
    digest = salted_hmac("slipway.local_client", slug, algorithm="sha256")
    return f"slipway_local_{digest.hexdigest()[:40]}"


def webhook_secret(webhook_id: str, version: int) -> str:
    """Return the secret with which a webhook's messages are signed.

    `whsec_` and 32 bytes in base64 (Standard Webhooks 1.0, "Signature scheme").
    """
    text = f"{webhook_id}:{version}"
    key = salted_hmac("slipway.webhook", text, algorithm="sha256").digest()
    return f"whsec_{b64encode(key).decode()}"


def same(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return constant_time_compare(one, other)
