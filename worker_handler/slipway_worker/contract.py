"""The worker's side of docs/worker-contract.md: envelope in, manifest out."""

import logging
import os
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from slipway_worker.errors import Over, Refused, Undeliverable

logger = logging.getLogger("slipway")
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
# To begin, a worker waits about ten minutes for our server; a result it has made, an
# hour: making it again would cost more.
PAUSES = (0.5, 1, 2, 4, 8, 15, 30, 60, 60, 60, 120, 240)
RESULT_PAUSES = (*PAUSES, *(240,) * 13)
RETRIED_STATUSES = {408, 425, 429, 500, 502, 503, 504, 507}  # 507: its disk is full
# These speak of the sender or of the address, not of what was sent.
UNKNOWN_STATUSES = {401, 403, 404, 410}


@dataclass(frozen=True)
class Envelope:
    """What Slipway adds to the input of its own handler, under `_slipway`."""

    job: str
    attempt: str
    token: str
    url: str
    runner: str
    public_url: str
    bucket_url: str = ""
    # {field of the input: {"size", "sha256"}} of the files that Slipway has.
    files: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, input: dict[str, Any]) -> "Envelope | None":
        """Return the envelope of a job's input, or None when it came without."""
        value = input.get("_slipway")
        if not isinstance(value, dict):
            return None
        names = ("job", "attempt", "token", "url", "runner")
        texts = {name: str(value.get(name) or "") for name in names}
        public_url = texts["url"].rstrip("/")
        # A worker that knows its server talks to no other, whatever the job says.
        texts["url"] = os.environ.get("SLIPWAY_URL", texts["url"]).rstrip("/")
        bucket_url = str(value.get("bucket_url") or "").rstrip("/")
        files = value.get("files")
        return cls(
            **texts,
            public_url=public_url,
            bucket_url=bucket_url,
            files=files if isinstance(files, dict) else {},
        )


class Slipway:
    """The calls of one attempt. Repeats what may be repeated."""

    def __init__(
        self, envelope: Envelope, pauses: tuple[float, ...] | None = None
    ) -> None:
        """`pauses` is how long to insist on delivering a result; by default an hour."""
        self._envelope = envelope
        self.pauses = RESULT_PAUSES if pauses is None else pauses
        self._http = httpx.Client(timeout=TIMEOUT, trust_env=False)
        self._base = f"{envelope.url}/worker/v1/attempts/{envelope.attempt}"
        self._headers = {"Authorization": f"Bearer {envelope.token}"}

    @property
    def trusted(self) -> tuple[str, ...]:
        """Where its files may come from although the address is private."""
        return tuple(filter(None, [self._envelope.url, self._envelope.bucket_url]))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def claim(self, *, worker_id: str, runpod_id: str) -> None:
        """Say that work begins; raise `Over` when none is wanted."""
        self._post("claim", {"worker_id": worker_id, "runpod_id": runpod_id})

    def new_link(self, name: str) -> str:
        """Return a fresh link for a file of the input; empty where there is none."""
        links = self._post("inputs", {}).get("links", {})
        return self.local(str(links.get(name) or ""))

    def progress(self, report: dict[str, Any]) -> bool:
        """Report once, without repeats; return whether to go on."""
        try:
            response = self._http.post(
                f"{self._base}/progress", json=report, headers=self._headers, timeout=3
            )
        except httpx.HTTPError:
            return True  # a lost report is not a reason to stop
        if response.status_code == httpx.codes.CONFLICT:
            return False
        return not response.is_success or response.json().get("continue") is not False

    def open_output(self, name: str, content_type: str, size: int) -> dict[str, Any]:
        """Return how to send one output file: {"method", "url"} or {…, "part_size"}."""
        about = {"name": name, "content_type": content_type, "size": size}
        answer = self._post("outputs", about, self.pauses)
        if "url" in answer:
            answer["url"] = self.local(str(answer["url"]))
        return answer

    def part_url(self, name: str, number: int) -> str:
        """Return where to PUT one part of a file that was opened."""
        about = {"name": name, "numbers": [number]}
        answer = self._post("outputs/parts", about, self.pauses)
        return str(answer["parts"][0]["url"])

    def finish(self, manifest: dict[str, Any]) -> None:
        """Deliver the manifest, the last thing an attempt does."""
        self._post("finish", manifest, self.pauses)

    def local(self, url: str) -> str:
        """Return a link of the server's, at the address where this worker reaches it."""
        if not url.startswith(f"{self._envelope.public_url}/"):
            return url
        return self._envelope.url + url.removeprefix(self._envelope.public_url)

    def _post(
        self, call: str, body: dict[str, Any], pauses: tuple[float, ...] = PAUSES
    ) -> dict[str, Any]:
        def send() -> httpx.Response:
            return self._http.post(
                f"{self._base}/{call}", json=body, headers=self._headers
            )

        answer: dict[str, Any] = insist(send, call, pauses).json()
        return answer


def insist(send: Any, what: str, pauses: tuple[float, ...]) -> Any:
    """Call `send` until the server takes it; raise `Over`, `Refused` or `Undeliverable`.

    A `send` that returns None has seen to everything itself.
    """
    for pause in (*pauses, None):
        try:
            response: httpx.Response | None = send()
        except httpx.HTTPError as error:
            problem = type(error).__name__
        else:
            if response is None or response.is_success:
                return response
            problem = _problem_of(response, what)
        if pause is not None:
            logger.warning("%s: %s; again in %s s", what, problem, pause)
            time.sleep(pause)
    raise Undeliverable(f"{what}: {problem}")


def _problem_of(response: httpx.Response, what: str) -> str:
    """Return what to say of an answer that may be better next time; raise for others."""
    if response.status_code == httpx.codes.CONFLICT:
        raise Over(response.text[:200])
    problem = f"HTTP {response.status_code}: {response.text[:200]}"
    if response.status_code in RETRIED_STATUSES:
        return problem
    if response.is_client_error and response.status_code not in UNKNOWN_STATUSES:
        _check_refused(response)
    raise Undeliverable(f"{what}: {problem}")


def _check_refused(response: httpx.Response) -> None:
    """Raise `Refused` if our server says in words why it never takes this.

    A bucket or a proxy may answer 400 to what it takes a minute later.
    """
    try:
        body = response.json()
    except ValueError:
        return
    words = body if isinstance(body, dict) else {}
    code, detail = words.get("code"), words.get("detail")
    if isinstance(code, str) and isinstance(detail, str):
        raise Refused(code[:60], detail[:2000])
