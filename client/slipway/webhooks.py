"""Verify messages that Slipway sends to webhooks (Standard Webhooks 1.0).

    from slipway import webhooks

    event = webhooks.verify(request.body, request.headers, "whsec_…")
    if event["type"] == "job.completed": …

A message may come more than once: its `webhook-id` header tells which you have seen.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping

from slipway.errors import SlipwayError
from slipway.models import Json

TOLERANCE_SECONDS = 300


class BadSignature(SlipwayError):
    """The message is not from Slipway, was altered, or is old."""


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance: float = TOLERANCE_SECONDS,
) -> Json:
    """Return {"type", "timestamp", "data"}; raise `BadSignature`.

    `body` must be the bytes as they came. `tolerance` is in seconds.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        id, at = lowered["webhook-id"], lowered["webhook-timestamp"]
        signatures = lowered["webhook-signature"].split()
        is_old = abs(time.time() - int(at)) > tolerance
    except (KeyError, ValueError):
        raise BadSignature("The headers of Standard Webhooks are missing.") from None
    if is_old:
        raise BadSignature("The message is too old.")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{id}.{at}.".encode() + body, hashlib.sha256)
    expected = f"v1,{base64.b64encode(digest).decode()}"
    if not any(hmac.compare_digest(expected, one) for one in signatures):
        raise BadSignature("The signature is not ours.")
    message: Json = json.loads(body)
    return message
