"""The job API of one RunPod endpoint: run, status, cancel, purge, health.

Source: RunPod docs, serverless/endpoints/operation-reference. Knows httpx and nothing
of Django, so it also talks to our local endpoint, and in tests to any httpx transport.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

import httpx

from jobs.runpod.errors import (
    Busy,
    EndpointNotFound,
    JobNotFound,
    NoAnswer,
    NotSent,
    Refused,
)

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
MAX_ANSWER_BYTES = 32 * 1024 * 1024
RUN_MAX_BYTES = 10 * 1024 * 1024  # RunPod: /run takes at most 10 MiB


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


class EndpointClient:
    """Calls one endpoint. Use as a context manager, or call `close`."""

    def __init__(
        self, base_url: str, key: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(
            base_url=base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT,
            transport=transport,
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def run(
        self, input: dict[str, Any], *, policy: dict[str, Any], webhook: str = ""
    ) -> RemoteJob:
        """Queue a job. `policy` times are milliseconds."""
        body: dict[str, Any] = {"input": input, "policy": policy}
        if webhook:
            body["webhook"] = webhook
        answer = self._call("POST", "run", body)
        return _remote_job(answer)

    def status(self, runpod_id: str) -> RemoteJob:
        """Read a job."""
        return _remote_job(self._call("GET", f"status/{runpod_id}"), runpod_id)

    def cancel(self, runpod_id: str) -> RemoteJob:
        """Ask RunPod to stop a job; the answer is its word, not yet a proof."""
        return _remote_job(self._call("POST", f"cancel/{runpod_id}"), runpod_id)

    def purge_queue(self) -> int:
        """Drop the jobs that no worker has taken; return how many RunPod dropped."""
        return _count(self._call("POST", "purge-queue").get("removed"))

    def health(self) -> Health:
        """Read the counts of jobs and workers."""
        answer = self._call("GET", "health")
        return Health(jobs=_counts(answer, "jobs"), workers=_counts(answer, "workers"))

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            content = None if body is None else json.dumps(body, allow_nan=False)
            response = self._http.request(
                method,
                path,
                content=content,
                headers={"Content-Type": "application/json"},
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(f"no connection: {type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise NoAnswer(f"no answer: {type(error).__name__}") from error
        _raise_for_status(response)
        return _json_object(response)


def _raise_for_status(response: httpx.Response) -> None:
    code = response.status_code
    if code == httpx.codes.TOO_MANY_REQUESTS:
        raise Busy("RunPod asks to slow down (429)", retry_after=_seconds(response))
    if code == httpx.codes.NOT_FOUND:
        raise _not_found(response)
    if code == httpx.codes.REQUEST_TIMEOUT or code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise NoAnswer(f"RunPod answered {code}")
    if code >= httpx.codes.MULTIPLE_CHOICES:
        text = " ".join(response.text[:300].split())
        raise Refused(f"RunPod answered {code}: {text}", status=code)


def _not_found(response: httpx.Response) -> JobNotFound | EndpointNotFound:
    """Tell a lost job from a lost endpoint.

    Lost jobs: {"detail":"job not found"} or {"error":"request does not exist"}.
    Lost endpoints: {"detail":"endpoint not found"} or {"message":"Not Found"}.
    """
    try:
        answer = response.json()
    except ValueError:
        answer = {}
    words = json.dumps(answer).lower()
    if "endpoint not found" in words or (
        isinstance(answer, dict)
        and str(answer.get("message", "")).lower() == "not found"
    ):
        return EndpointNotFound("RunPod does not know this endpoint (404)")
    return JobNotFound("RunPod does not know this job (404)")


def _json_object(response: httpx.Response) -> dict[str, Any]:
    if len(response.content) > MAX_ANSWER_BYTES:
        raise NoAnswer("RunPod's answer is larger than 32 MiB")
    try:
        answer = json.loads(response.content, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise NoAnswer("RunPod's answer is not JSON") from error
    if not isinstance(answer, dict):
        raise NoAnswer("RunPod's answer is not a JSON object")
    return answer


def _remote_job(answer: dict[str, Any], asked_id: str = "") -> RemoteJob:
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


def _milliseconds(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and value >= 0 else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _counts(answer: dict[str, Any], name: str) -> dict[str, int]:
    part = answer.get(name)
    if not isinstance(part, dict):
        return {}
    return {str(key): _count(value) for key, value in part.items()}


def _seconds(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None
