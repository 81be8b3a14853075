"""Files on their way in and out: streaming, bounded, hashed."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from addresses import public_address
from contract import Slipway, insist
from errors import InputUnavailable
from runner import JobContext, Output

PIECE = 1024 * 1024
MAX_BYTES = 100 * 1024**3
MAX_REDIRECTS = 3
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
PAUSES = (0.5, 2.0, 5.0)


class Interrupted(Exception):
    """A download broke off; what came is kept and can be continued."""


def download(
    url: str, target: Path, *, trusted: tuple[str, ...], job: JobContext
) -> None:
    """Fetch `url` to `target`, continuing after breaks; raise `InputUnavailable`.

    `trusted` are the base URLs of our own server and its bucket, which may be private.
    """
    for pause in (*PAUSES, None):
        try:
            _fetch(url, target, trusted, job)
        except (httpx.HTTPError, Interrupted) as error:
            problem = str(error) if isinstance(error, Interrupted) else _reason(error)
        else:
            return
        if pause is None:
            raise InputUnavailable(f"The file could not be fetched: {problem}.")
        time.sleep(pause)


def _fetch(url: str, target: Path, trusted: tuple[str, ...], job: JobContext) -> None:
    have = target.stat().st_size if target.exists() else 0
    with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
        for _ in range(MAX_REDIRECTS + 1):
            request = _request(client, url, have, trusted)
            response = client.send(request, stream=True)
            try:
                if response.is_redirect:
                    url = str(httpx.URL(url).join(response.headers["location"]))
                    continue
                _check(response)
                _save(response, target, job)
                return
            finally:
                response.close()
    raise InputUnavailable("The address redirects too often.")


def _request(
    client: httpx.Client, url: str, have: int, trusted: tuple[str, ...]
) -> httpx.Request:
    """Build a request to the checked address, keeping host name and TLS name."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    headers["Accept-Encoding"] = "identity"
    if any(base and url.startswith(f"{base}/") for base in trusted):
        return client.build_request("GET", url, headers=headers)
    address, parsed = public_address(url), httpx.URL(url)
    headers["Host"] = parsed.netloc.decode()
    return client.build_request(
        "GET",
        parsed.copy_with(host=address),
        headers=headers,
        extensions={"sni_hostname": parsed.host},
    )


def _check(response: httpx.Response) -> None:
    code = response.status_code
    if code in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
        return
    if code == httpx.codes.TOO_MANY_REQUESTS or code >= 500:
        raise Interrupted(f"the server answered {code}")
    raise InputUnavailable(
        f"The file could not be fetched: the server answered {code}."
    )


def _save(response: httpx.Response, target: Path, job: JobContext) -> None:
    is_rest = response.status_code == httpx.codes.PARTIAL_CONTENT
    size = int(response.headers.get("content-length") or 0)
    if size > MAX_BYTES:
        raise InputUnavailable("The file is larger than 100 GiB.")
    came = 0
    with target.open("ab" if is_rest else "wb") as file:
        for piece in response.iter_raw(PIECE):
            file.write(piece)
            came += len(piece)
            if came > MAX_BYTES:
                raise InputUnavailable("The file is larger than 100 GiB.")
            job.progress(came / size if size else None, "downloading")
    if size and came < size:
        raise Interrupted("the connection broke off")


def _reason(error: Exception) -> str:
    names = {
        "ConnectError": "no connection",
        "ConnectTimeout": "no connection in time",
        "ReadTimeout": "the server stopped sending",
    }
    return names.get(type(error).__name__, type(error).__name__)


def upload(slipway: Slipway, output: Output, job: JobContext) -> dict[str, Any]:
    """Send one output file; return its line of the manifest.

    The server says where: to itself, or to its bucket, large files in parts.
    """
    size, sha256 = output.path.stat().st_size, _sha256(output.path)
    line = {"name": output.name, "size": size, "sha256": sha256}

    def send() -> httpx.Response | None:
        job.check_cancelled()
        way = slipway.open_output(output.name, output.content_type, size)
        if way["method"] == "PUT_PARTS":
            _send_parts(slipway, output, job, int(way["part_size"]))
            return None
        pieces = _pieces(output.path, job, 0, size)
        return _put(str(way["url"]), pieces, size, way.get("headers"))

    answer = insist(send, f"upload of {output.name}")
    # Our server measures what comes; a bucket is asked by the server, later.
    is_measured = answer is not None and answer.status_code == httpx.codes.CREATED
    if is_measured and answer.json() != line:
        raise RuntimeError(f"{output.name} arrived changed")
    return line


def _send_parts(
    slipway: Slipway, output: Output, job: JobContext, part_size: int
) -> None:
    size = output.path.stat().st_size
    for number, start in enumerate(range(0, size, part_size), 1):
        length = min(part_size, size - start)

        def send(
            number: int = number, start: int = start, length: int = length
        ) -> httpx.Response:
            job.check_cancelled()
            url = slipway.part_url(output.name, number)
            return _put(url, _pieces(output.path, job, start, length), length)

        insist(send, f"part {number} of {output.name}")


def _put(
    url: str,
    pieces: Iterator[bytes],
    size: int,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    return httpx.put(
        url,
        content=pieces,
        headers={**(headers or {}), "Content-Length": str(size)},
        timeout=TIMEOUT,
        trust_env=False,
    )


def _pieces(path: Path, job: JobContext, start: int, length: int) -> Iterator[bytes]:
    size, sent = path.stat().st_size, 0
    with path.open("rb") as file:
        file.seek(start)
        while sent < length and (piece := file.read(min(PIECE, length - sent))):
            yield piece
            sent += len(piece)
            job.progress((start + sent) / size, "uploading")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
