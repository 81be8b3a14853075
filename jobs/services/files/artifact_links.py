"""The signed path to which a worker PUTs one file of its attempt."""

import base64
import json
from datetime import timedelta

from jobs.lib import links
from jobs.models import Attempt

OUTPUT_PATH = "/worker/v1/outputs/"


def output_path(
    attempt: Attempt, name: str, content_type: str, lives: timedelta
) -> str:
    """Return the path for one file, bound to attempt, name and type."""
    about = json.dumps([name, content_type]).encode()
    value = f"{attempt.pk.hex}.{base64.urlsafe_b64encode(about).decode().rstrip('=')}"
    return f"{OUTPUT_PATH}{links.sign(links.OUTPUT, value, lives=lives)}"


def read_output_path(path: str) -> tuple[str, str, str]:
    """Return (attempt id, name, content type), or raise `LinkRefused`."""
    signed = path.removeprefix(OUTPUT_PATH)
    attempt_id, _, about = links.read(links.OUTPUT, signed).partition(".")
    padded = about + "=" * (-len(about) % 4)
    name, content_type = json.loads(base64.urlsafe_b64decode(padded))
    return attempt_id, name, content_type
