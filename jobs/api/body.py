"""What a request's body must be: JSON in UTF-8, of a bearable size, without doubt."""

from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser

from jobs.lib import clean_json, conf
from jobs.lib.errors import Malformed, TooLarge, Unsupported

LARGE = {"/api/v1/jobs", "/api/v1/batches"}
CORTEX = ("/batch/", "/api/v1/batch/")
CORTEX_BYTES = 10 * 1024 * 1024
ENVELOPE_BYTES = 64 * 1024  # of a job besides its input


def limit(path: str) -> int:
    """Return how many bytes the body of a request to `path` may have."""
    if path.startswith(CORTEX):
        return CORTEX_BYTES
    if path.rstrip("/") in LARGE:
        return int(conf.INPUT_MAX_BYTES) + ENVELOPE_BYTES
    return int(conf.API_BODY_MAX_BYTES)


def too_large(path: str) -> TooLarge:
    """Return the error for a body over the limit."""
    return TooLarge(f"The body is larger than {limit(path):,} bytes.")


class StrictParser(Parser):
    """Ninja's way to read a body."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Return the JSON object that was sent.

        Raise `Unsupported`, `TooLarge` or `Malformed`.
        """
        if request.content_type != "application/json":
            raise Unsupported("Send JSON with Content-Type: application/json.")
        if (request.content_params or {}).get("charset", "utf-8").lower() != "utf-8":
            raise Unsupported("Send the JSON in UTF-8.")
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise Unsupported("Send the body without Content-Encoding.")
        if len(request.body) > limit(request.path):
            raise too_large(request.path)
        value = clean_json.strict(request.body)
        if not isinstance(value, dict):
            raise Malformed("Send a JSON object.")
        return value
