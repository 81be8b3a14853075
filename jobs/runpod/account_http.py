"""One request to an account API, with RunPod's refusals as our errors."""

import json
from typing import Any, Self

import httpx

from jobs.lib import tls
from jobs.lib.version import USER_AGENT
from jobs.runpod.answers import MAX_ANSWER_BYTES
from jobs.runpod.errors import Busy, NoAnswer, NotSent, Refused

TIMEOUT = httpx.Timeout(20.0, connect=5.0)
HEADERS = {"User-Agent": USER_AGENT, "Accept": "application/json"}
WORDS_MAX = 300


class AccountHttp:
    """A connection with the key in a header, where no log finds it."""

    def __init__(
        self, url: str, key: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._key, self._url = key, url
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers={**HEADERS, "Authorization": f"Bearer {key}"},
            timeout=TIMEOUT,
            transport=transport,
            verify=tls.context(),
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def _send(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON of a good answer, None of an empty one; raise a RunPodError."""
        try:
            answer = self._http.request(method, path, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(f"no connection: {type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise NoAnswer(f"no answer: {type(error).__name__}") from error
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise Busy("RunPod asks to slow down (429)", retry_after=None)
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise NoAnswer(f"RunPod answered {answer.status_code}")
        body = _json(answer)
        if not answer.is_success:
            words = self._safe(_words(body) or answer.reason_phrase)
            text = f"RunPod answered {answer.status_code}: {words}"
            raise Refused(text, status=answer.status_code)
        if body is None and answer.content:
            raise NoAnswer("RunPod's answer is not JSON")
        return body

    def _safe(self, text: str) -> str:
        """Return RunPod's words without our key, should it ever repeat it."""
        redacted = text.replace(self._key, "[key]") if self._key else text
        return " ".join(redacted.split())[:WORDS_MAX]


def _json(answer: httpx.Response) -> Any:
    if len(answer.content) > MAX_ANSWER_BYTES:
        raise NoAnswer("RunPod's answer is larger than 32 MiB")
    try:
        return json.loads(answer.content) if answer.content else None
    except (ValueError, RecursionError):
        return None


def _words(body: Any) -> str:
    """Return what a refusal says: GraphQL's errors, or RFC 9457's detail."""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors")
    messages = [body.get("detail") or body.get("title") or body.get("message")]
    several = errors if isinstance(errors, list) else []
    messages += [
        e.get("message") or e.get("detail") for e in several if isinstance(e, dict)
    ]
    return "; ".join(str(one) for one in messages if one)
