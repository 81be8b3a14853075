"""Files to the server and back: in pieces, going on where they stopped."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import httpx

from slipway import flows
from slipway.errors import ApiError, BadFile, NoConnection
from slipway.flows import API, PAUSES, Call, Flow, Pause, asked
from slipway.models import Job, Json, Output, Upload

PIECE_BYTES = 16 * 1024 * 1024
EDGE_BYTES = 64 * 1024
PARTS_AT_ONCE = 20
TUS = {"Tus-Resumable": "1.0.0"}
Progress = Callable[[int, int], None]


def upload(
    path: Path, see: Progress | None = None, *, is_hashed: bool = True
) -> Flow[Upload]:
    """Send a file; `see` is told (bytes there, bytes in all).

    What is at the server already is not sent again: not the file, when it is hashed, and
    not the pieces of an upload that broke off.
    """
    size = path.stat().st_size
    body = {"filename": path.name, "size": size, "fingerprint": fingerprint(path)}
    if is_hashed:
        body["sha256"] = _sha256(path)
    answer = yield from asked(Call("POST", f"{API}/uploads", json=body))
    opened = answer.json()
    done = Upload(opened["id"], opened["filename"], size, opened["deduplicated"])
    if opened["status"] == "uploading":
        by_parts = opened["method"] == "s3_multipart"
        send = _parts if by_parts else _stream
        yield from send(path, opened, see or _nothing)
    if see:
        see(size, size)
    return done


def fingerprint(path: Path) -> str:
    """Return what a file is known by without reading all of it."""
    size = path.stat().st_size
    digest = hashlib.sha256(f"{path.name}\0{size}\0".encode())
    with path.open("rb") as file:
        digest.update(file.read(EDGE_BYTES))
        file.seek(max(0, size - EDGE_BYTES))
        digest.update(file.read(EDGE_BYTES))
    return digest.hexdigest()


def _stream(path: Path, opened: Json, see: Progress) -> Flow[None]:
    """Send the bytes by tus 1.0, from where the server says it is."""
    url, size = opened["url"], opened["size"]
    offset = yield from _offset(url)
    failures = 0
    with path.open("rb") as file:
        while offset < size:
            see(offset, size)
            file.seek(offset)
            headers = {
                **TUS,
                "Upload-Offset": str(offset),
                "Content-Type": "application/offset+octet-stream",
            }
            piece = file.read(PIECE_BYTES)
            answer = yield Call("PATCH", url, content=piece, headers=headers)
            if isinstance(answer, httpx.Response) and answer.status_code == 204:
                offset, failures = int(answer.headers["Upload-Offset"]), 0
                continue
            failures += 1
            _give_up_if(answer, failures)
            yield Pause(PAUSES[failures - 1])
            offset = yield from _offset(url)


def _give_up_if(answer: Any, failures: int) -> None:
    """Raise unless it is worth going on."""
    if isinstance(answer, httpx.Response):
        is_passing = answer.status_code in {409, 423, 429} or answer.status_code >= 500
        if not is_passing or failures >= len(PAUSES):
            raise ApiError.of(answer)
    elif failures >= len(PAUSES):
        raise NoConnection(f"The upload broke off: {answer}")


def _offset(url: str) -> Flow[int]:
    answer = yield from asked(Call("HEAD", url, headers=TUS))
    return int(answer.headers["Upload-Offset"])


def _parts(path: Path, opened: Json, see: Progress) -> Flow[None]:
    """Send the parts that are missing to the bucket, by links that expire."""
    base, size = f"{API}/uploads/{opened['id']}", opened["size"]
    answer = yield from asked(Call("GET", base))
    arrived = {part["number"]: part["size"] for part in answer.json()["parts"]}
    missing = [n for n in range(1, opened["part_count"] + 1) if n not in arrived]
    sent = sum(arrived.values())
    with path.open("rb") as file:
        for start in range(0, len(missing), PARTS_AT_ONCE):
            numbers = missing[start : start + PARTS_AT_ONCE]
            call = Call("POST", f"{base}/parts", json={"numbers": numbers})
            answer = yield from asked(call)
            for part in answer.json()["parts"]:
                see(sent, size)
                file.seek((part["number"] - 1) * opened["part_size"])
                piece = file.read(part["size"])
                yield from asked(
                    Call("PUT", part["url"], content=piece, with_key=False)
                )
                sent += len(piece)
    yield from asked(Call("POST", f"{base}/complete"))


def download(job: Job, folder: Path, see: Progress | None = None) -> Flow[list[Path]]:
    """Fetch every file of a job into `folder`; return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for output in job.outputs:
        path = yield from _fetch(output, folder, see or _nothing)
        paths.append(path)
    return paths


def _fetch(output: Output, folder: Path, see: Progress) -> Flow[Path]:
    """Fetch one file; go on where an earlier try stopped; compare it with its hash."""
    target = folder / Path(output.name).name
    part = target.with_name(f"{target.name}.part")
    path = urlsplit(
        output.url
    ).path  # at the server we talk to, however it calls itself
    with part.open("ab") as file:
        for pause in (*PAUSES, None):
            have = file.tell()
            see(have, output.size)
            if have >= output.size:
                break
            headers = {"Range": f"bytes={have}-"} if have else {}

            def sink(piece: bytes) -> None:
                file.write(piece)
                see(file.tell(), output.size)

            answer = yield Call("GET", path, headers=headers, sink=sink)
            if isinstance(answer, httpx.Response) and not answer.is_success:
                raise ApiError.of(answer)
            if file.tell() < output.size:
                if pause is None:
                    raise NoConnection(f"The download broke off: {answer}")
                yield Pause(pause)
    if _sha256(part) != output.sha256:
        part.unlink()
        raise BadFile(
            f"{output.name} is not the file that was promised; fetch it again."
        )
    part.replace(target)
    return target


def create_batch(
    endpoint: str,
    *,
    file: str | Path | None = None,
    key: str = "",
    see: Progress | None = None,
    is_dry: bool = False,
    **options: Any,
) -> Flow[Json]:
    """Make a batch, or look what would become of it; send the file with its items."""
    body: Json = {"endpoint": endpoint, **options}
    if file is not None:
        sent = yield from upload(Path(file), see)
        body["file"] = sent.reference
    made = yield from flows.create_batch(body, key, is_dry=is_dry)
    return made


def save(path: str, target: Path) -> Flow[Path]:
    """Write an answer to a file, from its beginning where it broke off."""
    part = target.with_name(f"{target.name}.part")
    for pause in (*PAUSES, None):
        with part.open("wb") as file:
            answer = yield Call("GET", API + path, sink=_writer(file))
        if isinstance(answer, httpx.Response):
            if not answer.is_success:
                part.unlink()
                raise ApiError.of(answer)
            part.replace(target)
            return target
        if pause is None:
            raise NoConnection(f"The download broke off: {answer}")
        yield Pause(pause)
    raise AssertionError


def _writer(file: BinaryIO) -> Callable[[bytes], None]:
    def write(piece: bytes) -> None:
        file.write(piece)

    return write


def with_files(
    input: Json, see: Progress | None = None, *, is_hashed: bool = True
) -> Flow[Json]:
    """Return `input` with every Path sent, and its reference in its place."""
    prepared: Json = {}
    for name, value in input.items():
        if isinstance(value, Path):
            sent = yield from upload(value, see, is_hashed=is_hashed)
            prepared[name] = sent.reference
        elif isinstance(value, dict):
            prepared[name] = yield from with_files(value, see, is_hashed=is_hashed)
        else:
            prepared[name] = value
    return prepared


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _nothing(_: int, __: int) -> None:
    return None
