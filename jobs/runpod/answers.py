"""RunPod's answers, read without trusting them: JSON in, `RemoteJob` or an error out.

Pure functions over (HTTP status, headers, body), shared by both clients. Source: RunPod
docs, serverless/endpoints/operation-reference, and what live endpoints really send.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from jobs.runpod.errors import (
    Busy,
    EndpointNotFound,
    JobNotFound,
    NoAnswer,
    Refused,
    RunPodError,
)

MAX_ANSWER_BYTES = 32 * 1024 * 1024
RUN_MAX_BYTES = 10 * 1024 * 1024  # RunPod: /run takes at most 10 MiB
MAX_PAUSE_SECONDS = 600.0


@dataclass(frozen=True)
class RemoteJob:
    """What RunPod says of a job (its /status answer)."""

    id: str
    status: str
    output: Any = None
    error: Any = None
    has_output: bool = False
    worker_id: str = ""
    delay_ms: int | None = None
    execution_ms: int | None = None
    retries: int = 0


@dataclass(frozen=True)
class Health:
    """Counts of an endpoint's jobs and workers by RunPod's names."""

    jobs: dict[str, int]
    workers: dict[str, int]

    @property
    def ended(self) -> int:
        """How many jobs have ended, as far as RunPod counts them."""
        return self.jobs.get("completed", 0) + self.jobs.get("failed", 0)


def run_body(input: dict[str, Any], policy: dict[str, Any], webhook: str) -> str:
    """Return the body of /run. `policy` times are milliseconds."""
    body: dict[str, Any] = {"input": input, "policy": policy}
    if webhook:
        body["webhook"] = webhook
    return json.dumps(body, allow_nan=False)


def read(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the JSON object of a good answer; raise what any other one means."""
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise _error(status, headers, body)
    if len(body) > MAX_ANSWER_BYTES:
        raise NoAnswer("RunPod's answer is larger than 32 MiB")
    try:
        answer = json.loads(body, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise NoAnswer("RunPod's answer is not JSON") from error
    if not isinstance(answer, dict):
        raise NoAnswer("RunPod's answer is not a JSON object")
    return answer


def _error(status: int, headers: Mapping[str, str], body: bytes) -> RunPodError:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Busy("RunPod asks to slow down (429)", retry_after=_seconds(headers))
    if status == HTTPStatus.NOT_FOUND:
        return _not_found(body)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= 500:
        return NoAnswer(f"RunPod answered {status}", retry_after=_seconds(headers))
    text = " ".join(body[:300].decode(errors="replace").split())
    return Refused(f"RunPod answered {status}: {text}", status=status)


def _not_found(body: bytes) -> JobNotFound | EndpointNotFound:
    """Tell a lost job from a lost endpoint.

    Lost jobs: {"detail":"job not found"} or {"error":"request does not exist"}.
    Lost endpoints: {"detail":"endpoint not found"} or {"message":"Not Found"}.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = {}
    words = json.dumps(answer).lower()
    if "endpoint not found" in words or (
        isinstance(answer, dict)
        and str(answer.get("message", "")).lower() == "not found"
    ):
        return EndpointNotFound("RunPod does not know this endpoint (404)")
    return JobNotFound("RunPod does not know this job (404)")


def remote_job(answer: dict[str, Any], asked_id: str = "") -> RemoteJob:
    """Return the job of a /run, /status or /cancel answer."""
    id = answer.get("id") or asked_id
    status = answer.get("status")
    if not isinstance(id, str) or not id or not isinstance(status, str):
        raise NoAnswer("RunPod's answer lacks an id or a status")
    if asked_id and id != asked_id:
        raise NoAnswer("RunPod answered for another job")
    return RemoteJob(
        id=id,
        status=status.upper(),
        output=answer.get("output"),
        has_output="output" in answer,
        error=answer.get("error"),
        worker_id=str(answer.get("workerId") or ""),
        delay_ms=_milliseconds(answer.get("delayTime")),
        execution_ms=_milliseconds(answer.get("executionTime")),
        retries=_count(answer.get("retries")),
    )


def health(answer: dict[str, Any]) -> Health:
    """Return the counts of a /health answer."""
    return Health(jobs=_counts(answer, "jobs"), workers=_counts(answer, "workers"))


def removed(answer: dict[str, Any]) -> int:
    """Return how many jobs /purge-queue dropped."""
    return _count(answer.get("removed"))


def _milliseconds(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and value >= 0 else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _counts(answer: dict[str, Any], name: str) -> dict[str, int]:
    part = answer.get(name)
    if not isinstance(part, dict):
        return {}
    return {str(key): _count(value) for key, value in part.items()}


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Return Retry-After in seconds, within reason; None when absent or absurd."""
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(seconds, MAX_PAUSE_SECONDS) if seconds >= 0 else None
