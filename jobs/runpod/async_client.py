"""The same calls as `client`, for the loop: many at once over a few kept connections.

aiohttp, because a poll costs a third of what it costs with httpx
(docs/decisions/0008-loop-http-client.md). Times: connect 5 s, silence 10 s, whole call
35 s; an answer over 32 MiB is cut while it comes.
"""

from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from jobs.runpod import answers
from jobs.runpod.answers import Health, RemoteJob
from jobs.runpod.errors import NoAnswer, NotSent

TIMEOUT = aiohttp.ClientTimeout(total=35, sock_connect=5, sock_read=10)
PIECE = 64 * 1024
_NOT_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


class AsyncEndpointClient:
    """Calls one endpoint. `session` is shared with others and closed by its owner."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, key: str) -> None:
        self._session = session
        self._base = base_url.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
        }

    async def run(
        self, input: dict[str, Any], *, policy: dict[str, Any], webhook: str = ""
    ) -> RemoteJob:
        """Queue a job. `policy` times are milliseconds."""
        content = answers.run_body(input, policy, webhook)
        return answers.remote_job(await self._call("POST", "run", content))

    async def status(self, runpod_id: str) -> RemoteJob:
        """Read a job."""
        answer = await self._call("GET", f"status/{quote(runpod_id, safe='')}")
        return answers.remote_job(answer, runpod_id)

    async def cancel(self, runpod_id: str) -> RemoteJob:
        """Ask RunPod to stop a job; the answer is its word, not yet a proof."""
        answer = await self._call("POST", f"cancel/{quote(runpod_id, safe='')}")
        return answers.remote_job(answer, runpod_id)

    async def health(self) -> Health:
        """Read the counts of jobs and workers."""
        return answers.health(await self._call("GET", "health"))

    async def _call(
        self, method: str, path: str, content: str | None = None
    ) -> dict[str, Any]:
        try:
            url = URL(f"{self._base}/{path}", encoded=True)
            is_url = bool(url.host and url.port)
        except ValueError:
            is_url = False
        if not is_url:
            raise NotSent("the endpoint's address is not a valid URL")
        try:
            async with self._session.request(
                method,
                url,
                data=content,
                headers=self._headers,
                timeout=TIMEOUT,
                allow_redirects=False,
            ) as response:
                body = await _bounded(response)
                return answers.read(response.status, response.headers, body)
        except _NOT_SENT as error:
            raise NotSent(f"no connection: {type(error).__name__}") from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NoAnswer(f"no answer: {type(error).__name__}") from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length <= PIECE:
        return await response.read()
    pieces, came = [], 0
    async for piece in response.content.iter_chunked(PIECE):
        pieces.append(piece)
        came += len(piece)
        if came > answers.MAX_ANSWER_BYTES:
            raise NoAnswer("RunPod's answer is larger than 32 MiB")
    return b"".join(pieces)
