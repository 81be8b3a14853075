"""The uploads that an input names: `"upload:<id>"` wherever it takes a file."""

import re
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from jobs.models import Upload

PATTERN = re.compile(
    r"^upload:([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})$"
)


def uploads_of(input: Any) -> list[UUID]:
    """Return the ids of the uploads that `input` names."""
    matches = (PATTERN.match(value) for _, value in texts(input, ""))
    return [UUID(match[1]) for match in matches if match]


def files_of(inputs: Iterable[Any], *, owner: Any) -> dict[UUID, Upload]:
    """Return the uploads that `inputs` name and `owner` may use, in one query."""
    named = {pk for input in inputs for pk in uploads_of(input)}
    return Upload.objects.visible_to(owner).in_bulk(list(named)) if named else {}


def keep(inputs: Iterable[Any]) -> None:
    """Remove the expiry of the uploads that `inputs` name."""
    named = {pk for input in inputs for pk in uploads_of(input)}
    if named:
        Upload.objects.filter(pk__in=named).update(expires_at=None)


def texts(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, text) for every text in a JSON value."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, f"{pointer}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, f"{pointer}/{index}")
