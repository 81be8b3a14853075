"""Files inside the JSON output of other people's handlers: base64 and URLs.

Pure: finds and names them. `saving` fetches and stores them.
"""

import base64
import binascii
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from jobs.services.files import content_types, filenames

BASE64_MIN = 512
_DATA_URI = re.compile(r"^data:[\w.+-]+/[\w.+-]+;base64,", re.ASCII)
_BASE64 = re.compile(r"^[A-Za-z0-9+/]+={0,2}$", re.ASCII)
_URL = re.compile(r"^https?://[^\s/@]+/\S*$", re.IGNORECASE)
# mimetypes knows several extensions for these types and picks an unusual one.
_ENDINGS = {"image/jpeg": ".jpg", "audio/mpeg": ".mp3", "text/plain": ".txt"}


@dataclass(frozen=True)
class Found:
    """One file in an output: its path there, and its bytes or its URL."""

    path: tuple[str | int, ...]
    content: bytes | None = None
    url: str = ""


def find(output: Any, *, skip: frozenset[str] = frozenset()) -> list[Found]:
    """Return the files in `output`; `skip` holds URLs that are not results."""
    files = []
    for path, text in _strings(output, ()):
        if _URL.match(text):
            if text not in skip:
                files.append(Found(path, url=text))
            continue
        content = decode(text)
        if content:
            files.append(Found(path, content=content))
    return files


def decode(text: str) -> bytes | None:
    """Return the bytes of a data URI, or of base64 that contains a known file type."""
    prefix = _DATA_URI.match(text)
    body = text[prefix.end() :] if prefix else text
    if not prefix and (len(body) < BASE64_MIN or not _BASE64.match(body)):
        return None
    try:
        content = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None
    kind = content_types.sniff(content[: content_types.HEAD_BYTES])
    is_file = kind != content_types.UNKNOWN and not kind.startswith("text/")
    return content if prefix or is_file else None


def name_for(file: Found, content_type: str, taken: set[str]) -> str:
    """Return an unused file name that says what the file is."""
    last = unquote(PurePosixPath(urlsplit(file.url).path).name) if file.url else ""
    name = filenames.clean(last) if "." in last else _from_path(file, content_type)
    stem, dot, ending = name.rpartition(".")
    number = 1
    while name in taken:
        number += 1
        name = f"{stem or ending}-{number}{dot if stem else ''}{ending if stem else ''}"
    return name


def replaced(output: Any, path: tuple[str | int, ...], value: str) -> Any:
    """Return `output` with `value` at `path`."""
    if not path:
        return value
    head, *rest = path
    copy: Any = list(output) if isinstance(output, list) else dict(output)
    copy[head] = replaced(copy[head], tuple(rest), value)
    return copy


def _from_path(file: Found, content_type: str) -> str:
    words = [str(part) for part in file.path] or ["output"]
    ending = _ENDINGS.get(content_type) or mimetypes.guess_extension(content_type)
    return filenames.clean("-".join(words)[-80:]) + (ending or ".bin")


def _strings(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[Any, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, (*path, index))
