"""The job API of one RunPod endpoint: run, status, cancel, purge, health.

Source: RunPod docs, serverless/endpoints/operation-reference. Knows httpx and nothing
of Django, so it also talks to our local endpoint, and in tests to any httpx transport.
For one call now and then (pages, commands); the loop uses `async_client`.
"""

from typing import Any, Self
from urllib.parse import quote

import httpx

from jobs.lib import tls
from jobs.runpod import answers
from jobs.runpod.answers import Health, RemoteJob
from jobs.runpod.errors import NoAnswer, NotSent

TIMEOUT = httpx.Timeout(10.0, connect=5.0)


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
            verify=tls.context(),
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
        content = answers.run_body(input, policy, webhook)
        return answers.remote_job(self._call("POST", "run", content))

    def status(self, runpod_id: str) -> RemoteJob:
        """Read a job."""
        return answers.remote_job(
            self._call("GET", f"status/{quote(runpod_id, safe='')}"), runpod_id
        )

    def cancel(self, runpod_id: str) -> RemoteJob:
        """Ask RunPod to stop a job; the answer is its word, not yet a proof."""
        return answers.remote_job(
            self._call("POST", f"cancel/{quote(runpod_id, safe='')}"), runpod_id
        )

    def purge_queue(self) -> int:
        """Drop the jobs that no worker has taken; return how many RunPod dropped."""
        return answers.removed(self._call("POST", "purge-queue"))

    def health(self) -> Health:
        """Read the counts of jobs and workers."""
        return answers.health(self._call("GET", "health"))

    def _call(
        self, method: str, path: str, content: str | None = None
    ) -> dict[str, Any]:
        try:
            with self._http.stream(
                method,
                path,
                content=content,
                headers={"Content-Type": "application/json"},
            ) as response:
                body = _bounded(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(f"no connection: {type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise NoAnswer(f"no answer: {type(error).__name__}") from error
        return answers.read(response.status_code, response.headers, body)


def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > answers.MAX_ANSWER_BYTES:
            raise NoAnswer("RunPod's answer is larger than 32 MiB")
    return bytes(body)
