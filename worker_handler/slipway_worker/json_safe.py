"""What a runner answers, as JSON that every reader takes."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

MAX_DEPTH = 100


def json_safe(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Return `value` in JSON's types. NaN and infinities become null, bytes their size.

    NumPy's and torch's numbers and arrays, pydantic models and dataclasses are
    understood; anything else becomes its text. Raise ValueError when nested too deeply.
    """
    if depth == 0:
        raise ValueError(f"the output is nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.replace("\0", "�").encode("utf-8", "replace").decode()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    plain = _plain(value)
    if isinstance(plain, Mapping):
        return {str(name): json_safe(one, depth - 1) for name, one in plain.items()}
    if isinstance(plain, list | tuple | set | frozenset):
        return [json_safe(one, depth - 1) for one in plain]
    return str(value) if plain is value else json_safe(plain, depth - 1)


def _plain(value: Any) -> Any:
    """Return what stands for an object: its fields, or its numbers."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    tolist = getattr(value, "tolist", None)
    return tolist() if callable(tolist) else value
