"""What a worker may send: progress and the manifest, checked and cut to size.

Source: docs/worker-contract.md, whose JSON examples the tests load.
"""

from typing import Any

from jobs.lib import clean_json
from jobs.lib.errors import InvalidInput, Problem

MAX_FILES = 1000
MAX_NAME = 200


def progress(body: dict[str, Any]) -> dict[str, Any]:
    """Return {seq, fraction, stage, message}; `fraction` is 0 to 1 or null."""
    seq = body.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 < seq < 2**53:
        raise InvalidInput(Problem("/seq", "A positive whole number, rising."))
    fraction = body.get("fraction")
    if not isinstance(fraction, int | float) or isinstance(fraction, bool):
        fraction = None
    return {
        "seq": seq,
        "fraction": None if fraction is None else min(1.0, max(0.0, float(fraction))),
        "stage": _text(body.get("stage"), 60),
        "message": _text(body.get("message"), 200),
    }


def output(body: dict[str, Any]) -> tuple[str, str, int]:
    """Return (name, content type, size) of an output; size 0 when it is not told."""
    name = file_name(body.get("name"), "/name")
    size = body.get("size", 0)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**53:
        raise InvalidInput(Problem("/size", "A number of bytes."))
    kind = _text(body.get("content_type"), 120) or "application/octet-stream"
    return name, kind, size


def parts(body: dict[str, Any]) -> tuple[str, list[int]]:
    """Return (name, part numbers) of parts that a worker wants to send."""
    numbers = body.get("numbers")
    is_fit = isinstance(numbers, list) and all(
        isinstance(n, int) and not isinstance(n, bool) for n in numbers
    )
    if not is_fit or not numbers:
        raise InvalidInput(Problem("/numbers", "A list of part numbers."))
    return file_name(body.get("name"), "/name"), list(numbers)


def manifest(body: dict[str, Any]) -> dict[str, Any]:
    """Return {schema, files, output, error} or raise `InvalidInput`."""
    if body.get("schema") != 1:
        raise InvalidInput(
            Problem("/schema", "This server knows manifests of schema 1.")
        )
    files = body.get("files", [])
    if not isinstance(files, list) or len(files) > MAX_FILES:
        raise InvalidInput(Problem("/files", f"A list of at most {MAX_FILES} files."))
    return {
        "schema": 1,
        "files": [_file(file, f"/files/{n}") for n, file in enumerate(files)],
        "output": clean_json.mended(body.get("output")),
        "error": _error(body.get("error")),
    }


def file_name(value: object, pointer: str) -> str:
    """Return a name that is one path part, or raise `InvalidInput`."""
    is_fit = (
        isinstance(value, str)
        and 0 < len(value) <= MAX_NAME
        and value.isprintable()
        and not set(value) & set("/\\")
        and value not in {".", ".."}
    )
    if not is_fit:
        raise InvalidInput(Problem(pointer, "A file name without a path."))
    return str(value)


def _file(value: Any, pointer: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(Problem(pointer, "An object with name, size and sha256."))
    size, sha256 = value.get("size"), value.get("sha256")
    if not isinstance(size, int) or not isinstance(sha256, str) or len(sha256) != 64:
        raise InvalidInput(Problem(pointer, "An object with name, size and sha256."))
    name = file_name(value.get("name"), f"{pointer}/name")
    return {"name": name, "size": size, "sha256": sha256}


def _error(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    return {
        "code": _text(value.get("code"), 60) or "worker_error",
        "message": _text(value.get("message"), 4000) or "The worker failed.",
        "retryable": value.get("retryable") is True,
    }


def _text(value: object, limit: int) -> str:
    return str(clean_json.mended(value))[:limit] if isinstance(value, str) else ""
