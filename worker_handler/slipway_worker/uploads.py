"""The files that a job made, on their way to Slipway: streaming, hashed, in parts."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from slipway_worker.contract import Slipway, insist
from slipway_worker.runner import JobContext, Output

PIECE = 1024 * 1024
TIMEOUT = httpx.Timeout(30.0, connect=10.0)


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

    answer = insist(send, f"upload of {output.name}", slipway.pauses)
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

        insist(send, f"part {number} of {output.name}", slipway.pauses)


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
