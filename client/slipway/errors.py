"""What can go wrong.

SlipwayError
├── ApiError       the server refused; `status`, `code` and `errors` say why
├── NoConnection   the server did not answer, however often it was asked
├── JobFailed      the job ended, but not COMPLETED; `job` has the rest
└── BadFile        a downloaded file is not the one that was promised
"""

from typing import Any

import httpx

from slipway.models import Job


class SlipwayError(Exception):
    """Anything this package raises."""


class ApiError(SlipwayError):
    """The server refused a request (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str, errors: list[Any]) -> None:
        places = [f"{one.get('pointer')}: {one.get('message')}" for one in errors]
        super().__init__("\n".join([detail, *places]))
        self.status, self.code, self.detail, self.errors = status, code, detail, errors

    @classmethod
    def of(cls, response: httpx.Response) -> "ApiError":
        """Read a refusal; whatever is not a problem document is shown as it is."""
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            body = {"detail": response.text[:200] or response.reason_phrase}
        return cls(
            response.status_code,
            str(body.get("code", "error")),
            str(body.get("detail", response.reason_phrase)),
            body.get("errors") or [],
        )


class NoConnection(SlipwayError):
    """The server did not answer."""


class BadFile(SlipwayError):
    """A file is not what was promised."""


class JobFailed(SlipwayError):
    """A job ended without a result."""

    def __init__(self, job: Job) -> None:
        message = (job.error or {}).get("message") or job.raw.get("explanation")
        super().__init__(f"{job.status}: {message or job.raw.get('reason') or job.id}")
        self.job = job
