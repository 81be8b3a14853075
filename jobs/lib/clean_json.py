"""JSON from outside, made safe for both databases and every reader.

PostgreSQL refuses NaN, NUL characters and lone surrogates that SQLite accepts, and
JavaScript cannot parse NaN. `strict` refuses them in what users send; `lenient`
replaces them in what workers and RunPod send, which must not be lost. Readers disagree
on which of two duplicate keys counts, so `strict` also refuses duplicates.
"""

import json
from typing import Any

from jobs.lib.errors import InvalidInput, Malformed, Problem

MAX_DEPTH_USER = 64
MAX_DEPTH_REMOTE = 500


def strict(body: bytes) -> Any:
    """Parse `body` (RFC 8259 in UTF-8); raise `Malformed` for anything ambiguous."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise Malformed("The body begins with a byte order mark. Send plain UTF-8.")
    try:
        value = DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8.") from None
    except RecursionError:
        raise Malformed(f"Nested deeper than {MAX_DEPTH_USER} levels.") from None
    except json.JSONDecodeError as error:
        text = f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        raise Malformed(text) from None
    except ValueError as error:
        raise Malformed(f"The body is not usable JSON: {error}.") from None
    problem = _problem(value, "", MAX_DEPTH_USER)
    if problem:
        raise Malformed(problem.message, problem)
    return value


def lenient(body: bytes) -> Any:
    """Parse `body`; NaN and infinities become null, unstorable characters U+FFFD.

    Raise ValueError if it is not JSON, or nested deeper than 500 levels.
    """
    try:
        value = json.loads(body.decode("utf-8", "replace"), parse_constant=_nothing)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return _mended(value, MAX_DEPTH_REMOTE)


def mended(value: Any) -> Any:
    """Return a parsed value as `lenient` would return it."""
    return _mended(value, MAX_DEPTH_REMOTE)


def check(value: Any, pointer: str = "") -> None:
    """Raise `InvalidInput` if a parsed value cannot be stored unchanged."""
    problem = _problem(value, pointer, MAX_DEPTH_USER)
    if problem:
        raise InvalidInput(problem)


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if abs(number) == float("inf"):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {json.dumps(twice[:80])} appears twice")
    return members


DECODER = json.JSONDecoder(
    parse_constant=_not_json, parse_float=_finite, object_pairs_hook=_once_each
)


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
    if depth == 0 and isinstance(value, dict | list):
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
        problem = _text_problem(str(key), pointer) or _problem(
            item, f"{pointer}/{key}", depth - 1
        )
        if problem:
            return problem
    return None


def _text_problem(value: str, pointer: str) -> Problem | None:
    if "\0" in value:
        return Problem(pointer, "Contains a NUL character; remove it.", "characters")
    if any("\ud800" <= character <= "\udfff" for character in value):
        return Problem(pointer, "Contains half of a surrogate pair.", "characters")
    return None
