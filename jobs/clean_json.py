"""JSON from outside, made safe for both databases and every reader.

PostgreSQL refuses NaN, NUL characters and lone surrogates that SQLite would take, and
JavaScript cannot read NaN. `strict` refuses them, for what users send; `lenient` mends
them, for what workers and RunPod send and what must not be lost.
"""

import json
from typing import Any

from jobs.errors import InvalidInput, Problem

MAX_DEPTH_USER = 64
MAX_DEPTH_REMOTE = 500


def lenient(body: bytes) -> Any:
    """Parse `body`; NaN and infinities become null, unstorable characters U+FFFD.

    Raise ValueError when it is not JSON at all, or nested deeper than 500.
    """
    try:
        value = json.loads(body.decode("utf-8", "replace"), parse_constant=_nothing)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return _mended(value, MAX_DEPTH_REMOTE)


def mended(value: Any) -> Any:
    """Return a parsed value as `lenient` would have returned it."""
    return _mended(value, MAX_DEPTH_REMOTE)


def check(value: Any, pointer: str = "") -> None:
    """Raise `InvalidInput` if a parsed value cannot be stored as it is."""
    problem = _problem(value, pointer, MAX_DEPTH_USER)
    if problem:
        raise InvalidInput(problem)


def _nothing(_: str) -> None:
    return None


def _mended(value: Any, depth: int) -> Any:
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return value.replace("\0", "�").encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, list):
        return [_mended(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {
            _mended(str(key), 1): _mended(item, depth - 1)
            for key, item in value.items()
        }
    return value


def _problem(value: Any, pointer: str, depth: int) -> Problem | None:
    if depth == 0:
        return Problem(pointer, f"Nested deeper than {MAX_DEPTH_USER} levels.", "depth")
    if isinstance(value, str):
        return _text_problem(value, pointer)
    if isinstance(value, float) and not abs(value) < float("inf"):
        return Problem(pointer, "Not a finite number.", "number")
    children: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    for key, item in children:
        found = _text_problem(str(key), pointer) or _problem(
            item, f"{pointer}/{key}", depth - 1
        )
        if found:
            return found
    return None


def _text_problem(value: str, pointer: str) -> Problem | None:
    if "\0" in value:
        return Problem(pointer, "Contains a NUL character; remove it.", "characters")
    if any("\ud800" <= character <= "\udfff" for character in value):
        return Problem(pointer, "Contains half of a surrogate pair.", "characters")
    return None
