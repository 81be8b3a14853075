"""Where the items of a batch are read from: a user's file, or a bucket.

A source is stored as JSON in the batch's row:
{"kind": "file", "upload": id, "format": "ndjson" | "json" | "csv" | "text"}
{"kind": "listing", "s3_paths": […], "includes": […], "excludes": […]}: each path
{"kind": "delimited", …the same…}: the JSON values in each of these files
It may also have "field" (the input field for plain text) and "input" (fields that every
item gets). A cursor tells `read` where to continue after an item.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from django.conf import settings

from jobs.lib import conf, item_readers
from jobs.lib.errors import InvalidInput, Problem
from jobs.lib.item_readers import Read, Unreadable
from jobs.models import Endpoint, Upload
from jobs.services.files import bucket_sources, references
from jobs.services.lifecycle import inputs
from jobs.storage import store

Json = dict[str, Any]
FORMATS = ("ndjson", "json", "csv", "text")
_BY_SUFFIX = {
    "ndjson": "ndjson",
    "jsonl": "ndjson",
    "json": "json",
    "csv": "csv",
    "tsv": "csv",
    "txt": "text",
}
_READERS: dict[str, Callable[..., Iterator[Read]]] = {
    "ndjson": item_readers.json_lines,
    "json": item_readers.json_array,
    "text": item_readers.texts,
}


@dataclass(frozen=True)
class Item:
    """An item as it was read, the cursor after it, and its problem, if any."""

    value: Any
    cursor: Json
    problem: str = ""


def check(source: Json, *, owner: Any) -> Json:
    """Return the source with all its fields; raise `InvalidInput` or `StoreError`.

    A bucket must contain at least one matching file.
    """
    if source["kind"] == "file":
        return _checked_file(source, owner)
    pointer = "/file_path_lister" if source["kind"] == "listing" else "/delimited_files"
    bucket_sources.check(source, pointer)
    if not any(True for _ in islice(bucket_sources.paths(source, {}), 1)):
        raise InvalidInput(Problem(f"{pointer}/s3_paths", NO_FILES, "empty"))
    return source


NO_FILES = "no s3 files match search criteria"


def _checked_file(source: Json, owner: Any) -> Json:
    named = references.uploads_of(source["upload"])
    upload = Upload.objects.visible_to(owner).filter(pk__in=named).first()
    text = inputs.upload_problem(upload, [])
    if text or upload is None:
        raise InvalidInput(Problem("/file", text, "file"))
    suffix = upload.filename.rpartition(".")[2].lower()
    file_format = source.get("format") or _BY_SUFFIX.get(suffix, "")
    if not file_format:
        text = f"Set `format` to read {upload.filename}: {', '.join(FORMATS)}."
        raise InvalidInput(Problem("/format", text, "format"))
    return {**source, "upload": str(upload.pk), "format": file_format}


def has_bucket() -> bool:
    """Whether a bucket is configured that items can be read from."""
    return bool(settings.S3_BUCKET or (conf.BATCH_SOURCES and settings.S3_KEYS[0]))


def default_field(endpoint: Endpoint) -> str:
    """Return the input field that receives a plain text or a path."""
    schema = endpoint.input_schema
    files = list(endpoint.file_fields())
    names = [*files, *schema.get("required", []), *schema.get("properties", {})]
    return str(names[0]) if names else "item"


def read(
    source: Json,
    cursor: Json,
    endpoint: Endpoint,
    going_on: Callable[[], object] = lambda: None,
) -> Iterator[Item]:
    """Yield the items after `cursor` in their order; raise `Unreadable`.

    Calls `going_on` regularly, even while no item matches. Raises `StoreError` while a
    store does not answer: continue later.
    """
    match source["kind"]:
        case "file":
            yield from _in_file(source, cursor, endpoint)
        case "listing":
            for path, at in bucket_sources.paths(source, cursor, going_on):
                yield Item(path, at)
        case _:
            yield from _in_objects(source, cursor, going_on)


def as_input(value: Any, source: Json, endpoint: Endpoint) -> Any:
    """Return the job input for one item, with the common fields and a field name."""
    common = source.get("input") or {}
    if isinstance(value, str):
        value = {source.get("field") or default_field(endpoint): value}
    return {**common, **value} if isinstance(value, dict) else value


def _in_file(source: Json, cursor: Json, endpoint: Endpoint) -> Iterator[Item]:
    upload = Upload.objects.filter(pk=UUID(source["upload"])).first()
    if upload is None or not upload.is_whole:
        raise Unreadable("The file with the items was deleted.")
    upload_store = store(upload.store)

    def pieces(start: int) -> Iterator[bytes]:
        return upload_store.chunks(upload.key, start, upload.size)

    offset = cursor.get("offset", 0)
    if source["format"] == "csv":
        yield from _in_table(pieces, cursor, endpoint)
        return
    for read in _READERS[source["format"]](pieces(offset), offset):
        yield Item(read.value, {"offset": read.end}, read.problem)


def _in_table(
    pieces: Callable[[int], Iterator[bytes]], cursor: Json, endpoint: Endpoint
) -> Iterator[Item]:
    state = cursor
    if not state:
        separator, columns, end = item_readers.table_head(pieces(0))
        state = {"offset": end, "separator": separator, "columns": columns}
    at, separator, columns = state["offset"], state["separator"], state["columns"]
    properties = endpoint.input_schema.get("properties", {})
    for read in item_readers.table(pieces(at), at, separator, columns):
        row = {n: _typed(text, properties.get(n, {})) for n, text in read.value.items()}
        yield Item(row, {**state, "offset": read.end}, read.problem)


def _typed(text: str, schema: Any) -> Any:
    """Convert a cell to the schema's type; if that fails, keep text for the check."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    words = {"true": True, "yes": True, "false": False, "no": False}
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text)
        if kind in {"array", "object"}:
            return item_readers.value_of(text)
    except ValueError:
        return text
    return words.get(text.strip().lower(), text) if kind == "boolean" else text


def _in_objects(
    source: Json, cursor: Json, going_on: Callable[[], object]
) -> Iterator[Item]:
    """Yield the JSON values of each matching file; batches may span files."""
    opened = cursor.get("opened", "")
    if opened:
        yield from _in_object(opened, cursor)
    for path, at in bucket_sources.paths(source, cursor, going_on):
        yield from _in_object(path, {**at, "opened": path, "offset": 0})


def _in_object(path: str, cursor: Json) -> Iterator[Item]:
    """Yield the rest of one file. Its last cursors continue the listing after it."""
    offset = cursor["offset"]
    after = {"path": cursor["path"], "after": cursor["after"]}
    pieces = bucket_sources.content(path, offset)
    if pieces is None:
        yield Item(path, after, "This file was deleted after it was listed.")
        return
    try:
        for read in item_readers.json_values(pieces, offset):
            yield Item(read.value, {**cursor, "offset": read.end}, read.problem)
    except Unreadable as error:
        yield Item(path, after, str(error))  # the other files are still readable
