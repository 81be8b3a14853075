"""Objects in other people's buckets as items of batches: `s3://bucket/key`.

They are read with the server's own credentials, so the operator decides what users may
read: `JOBS_BATCH_SOURCES`.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings

from jobs.lib import conf, path_globs
from jobs.lib.errors import InvalidInput, Problem
from jobs.models import artifact, upload
from jobs.storage import Served, bucket

_PATH = re.compile(r"^s3://([a-z0-9][a-z0-9._-]{1,62})/(.*)$", re.DOTALL)
OURS = (upload.FOLDER, artifact.FOLDER)
Source = dict[str, Any]
Cursor = dict[str, Any]


def check(source: Source, pointer: str) -> None:
    """Raise `InvalidInput` for unusable paths and patterns. Contacts no bucket."""
    problems = []
    for index, path in enumerate(source["s3_paths"]):
        text = refusal(path)
        if text:
            problems.append(Problem(f"{pointer}/s3_paths/{index}", text, "path"))
    for name in ("includes", "excludes"):
        for index, pattern in enumerate(source[name]):
            try:
                path_globs.matcher([pattern], [])
            except ValueError as error:
                place = f"{pointer}/{name}/{index}"
                problems.append(Problem(place, str(error), "pattern"))
    if problems:
        raise InvalidInput(*problems)


def refusal(path: str) -> str:
    """Return why users may not read `path`, or an empty string."""
    match = _PATH.match(path)
    if not match:
        return "Write s3://bucket/ and a prefix or a key."
    is_own = match[1] == settings.S3_BUCKET
    if not (is_own and match[2].startswith(OURS)) and _is_allowed(path, is_own=is_own):
        return ""
    return "This server may not read there. JOBS_BATCH_SOURCES can allow it."


def _is_allowed(path: str, *, is_own: bool) -> bool:
    places = conf.BATCH_SOURCES
    if places is None:
        return is_own
    # "s3://media" must not match "s3://media-of-others".
    return any(path.startswith(f"{place.rstrip('/')}/") for place in places)


def paths(
    source: Source, at: Cursor, going_on: Callable[[], object] = lambda: None
) -> Iterator[tuple[str, Cursor]]:
    """Yield (path of a matching file, cursor after it).

    Files come in the order of `s3_paths`, then of their keys, each once. Raise
    `StoreError` while a bucket does not answer.
    """
    is_wanted = _wanted(source)
    prefixes = source["s3_paths"]
    start = at.get("path", 0)
    for number, prefix in enumerate(prefixes[start:], start=start):
        name, key_prefix = _parts(prefix)
        after = at.get("after", "") if number == start else ""
        for key in bucket(name).objects(key_prefix, after):
            going_on()
            path = f"s3://{name}/{key}"
            is_new = not any(path.startswith(one) for one in prefixes[:number])
            if is_new and is_wanted(path):
                yield path, {"path": number, "after": key}


def _wanted(source: Source) -> Callable[[str], bool]:
    matches = path_globs.matcher(source["includes"], source["excludes"])
    # An allowed prefix such as s3://bucket/ may also contain our own folders.
    return lambda path: not refusal(path) and matches(path)


def content(path: str, start: int = 0) -> Iterator[bytes] | None:
    """Return a file's bytes from `start` on; None if it no longer exists.

    Raise `StoreError` while the bucket does not answer.
    """
    name, key = _parts(path)
    size = bucket(name).find(key)
    return None if size is None else bucket(name).chunks(key, start, size)


def link(path: str, lives: timedelta) -> str:
    """Return a link for a worker; the path itself where users may not read."""
    if refusal(path):
        return path
    name, key = _parts(path)
    served = Served("application/octet-stream", "attachment")
    return bucket(name).link(key, served, lives)


def _parts(path: str) -> tuple[str, str]:
    match = _PATH.match(path)
    if not match:
        raise ValueError(path)
    return match[1], match[2]
