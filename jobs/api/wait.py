"""`Prefer: wait` (RFC 7240, section 4.3): the answer comes when the job has ended.

A waiting request must not occupy a thread, so the view only notes what to wait for; the
gate waits and then has the answer written anew.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpResponse

from jobs.api.auth import ApiRequest

MAX_SECONDS = 60
_WAIT = re.compile(r"(?:^|[,;\s])wait(?:\s*=\s*\"?(\d{1,9})\"?)?(?=$|[,;\s])")
PARAMETER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=30`: answer when the job has ended, or after 30 seconds.",
    "schema": {"type": "string", "maxLength": 200},
    "example": "wait=30",
}


@dataclass(frozen=True)
class Waiting:
    """Wait at most `seconds` for the end of a job, then `answer` with a status."""

    job_id: UUID
    seconds: int
    user_id: int
    key_id: int | None
    answer: Callable[[int], HttpResponse]


def seconds_in(header: str) -> int | None:
    """Return how long the caller wants to wait, at most 60; None: not at all."""
    match = _WAIT.search(header.lower())
    if match is None:
        return None
    return min(int(match[1]), MAX_SECONDS) if match[1] else MAX_SECONDS


def if_preferred(
    request: ApiRequest,
    response: HttpResponse,
    again: Callable[[UUID, int], HttpResponse],
) -> None:
    """Note on the request that its caller wants to wait for the job just made.

    `again` returns the answer for (job, status) as it is then.
    """
    seconds = seconds_in(request.headers.get("Prefer", ""))
    if seconds:
        job_id = UUID(json.loads(response.content)["id"])
        request.waiting = Waiting(  # type: ignore[attr-defined]
            job_id,
            seconds,
            request.auth.owner.pk,
            request.auth.key_id,
            lambda status: again(job_id, status),
        )
