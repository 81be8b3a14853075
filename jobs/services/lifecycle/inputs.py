"""A job's input: checked when the job is created, turned into links when it is sent.

In `input`, a file field accepts `"upload:<id>"` or an http(s) URL.
"""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from django.conf import settings
from jsonschema.exceptions import ValidationError

from jobs.lib import clean_json, conf, input_schemas, links
from jobs.lib.errors import InvalidInput, Problem, TooLarge
from jobs.models import Attempt, Endpoint, Job, Upload
from jobs.services.files import bucket_sources, content_types, downloads, references
from jobs.services.lifecycle import batch_envelope
from jobs.services.lifecycle.batch_envelope import PAYLOAD

LINK_BYTES = 512
OURS = ("_slipway", "_batch")
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def check(endpoint: Endpoint, input: Any, files: Mapping[UUID, Upload]) -> None:
    """Raise `InvalidInput` naming every mistake in `input`, or `TooLarge`.

    `files` comes from `references.files_of`; any other upload does not exist.
    """
    if not isinstance(input, dict):
        raise InvalidInput(Problem("/input", "Send an object.", "type"))
    if not input and endpoint.contract == Endpoint.Contract.PLAIN:
        text = "Send at least one field: RunPod discards an empty input."
        raise InvalidInput(Problem("/input", text, "required"))
    check_storable(input)
    # RunPod accepts 10 MB; a link replaces each file and is longer than its name.
    size = len(json.dumps(input)) + LINK_BYTES * len(references.uploads_of(input))
    if size > conf.INPUT_MAX_BYTES:
        raise TooLarge("The input is larger than 8 MiB; send large data as an upload.")
    problems = [
        problem
        for error in input_schemas.errors(endpoint.input_schema, input)
        for problem in _problems(error)
    ]
    problems += [
        Problem(f"/input/{name}", "This name is reserved.", "reserved")
        for name in OURS
        if name in input
    ]
    wrong = {problem.pointer for problem in problems}
    fields = endpoint.file_fields()
    for pointer, value in references.texts(input, "/input"):
        field = fields.get(pointer.removeprefix("/input/"))
        problem = _file_problem(pointer, value, field, files)
        if problem and pointer not in wrong:
            problems.append(problem)
    if problems:
        raise InvalidInput(*problems)


def check_storable(input: Any) -> None:
    """Raise `InvalidInput` for values that the database cannot store."""
    clean_json.check(input, "/input")


def for_people(input: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return (name, value) pairs with file names in place of upload ids."""
    names = {
        f"upload:{upload.pk}": upload.filename
        for upload in Upload.objects.filter(pk__in=references.uploads_of(input))
    }
    return [
        (name, names.get(value, value) if isinstance(value, str) else value)
        for name, value in input.items()
    ]


def for_backend(job: Job, attempt: Attempt) -> dict[str, Any]:
    """Return the input as the worker gets it: links to files, and our envelope."""
    lives = _lives(job)
    uploads = Upload.objects.in_bulk(references.uploads_of(job.input))
    input = _linked(job, uploads, lives)
    if job.batch_id and PAYLOAD in input:
        input["_batch"] = batch_envelope.of(job)
    if job.endpoint.contract == Endpoint.Contract.SLIPWAY:
        input["_slipway"] = {
            "job": str(job.pk),
            "attempt": attempt.pk.hex,
            "token": links.sign(links.ATTEMPT, attempt.pk.hex, lives=lives),
            "url": settings.PUBLIC_URL,
            "runner": job.endpoint.runner,
            "bucket_url": downloads.bucket_url(),
            "files": {
                name: {"size": uploads[pk].size, "sha256": uploads[pk].sha256}
                for name, value in job.input.items()
                for pk in references.uploads_of([value])
                if pk in uploads and isinstance(value, str)
            },
        }
    return input


def fresh_links(job: Job) -> dict[str, str]:
    """Return {field: new link} of a job's files, for a worker whose links expired."""
    uploads = Upload.objects.in_bulk(references.uploads_of(job.input))
    linked = _linked(job, uploads, _lives(job))
    return {
        name: value
        for name, value in linked.items()
        if isinstance(value, str) and value != job.input[name]
    }


def _lives(job: Job) -> timedelta:
    """Return how long links stay valid: the longest queue, the work and a margin."""
    execution = job.endpoint.execution_timeout_seconds
    seconds = conf.QUEUE_SECONDS + execution + conf.LINK_MARGIN_SECONDS
    return timedelta(seconds=seconds)


def _linked(
    job: Job, uploads: Mapping[UUID, Upload], lives: timedelta
) -> dict[str, Any]:
    urls = {pk: downloads.for_worker(upload, lives) for pk, upload in uploads.items()}
    input: dict[str, Any] = _with_links(job.input, urls)
    for name in job.endpoint.file_fields():
        if str(input.get(name, "")).startswith("s3://"):
            input[name] = bucket_sources.link(input[name], lives)
    return input


def _with_links(value: Any, urls: Mapping[UUID, str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_links(item, urls) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_links(item, urls) for item in value]
    match = references.PATTERN.match(value) if isinstance(value, str) else None
    return urls.get(UUID(match[1]), value) if match else value


def _file_problem(
    pointer: str,
    value: str,
    field: dict[str, Any] | None,
    files: Mapping[UUID, Upload],
) -> Problem | None:
    match = references.PATTERN.match(value)
    if match:
        text = upload_problem(
            files.get(UUID(match[1])), (field or {}).get("x-accept", [])
        )
        return Problem(pointer, text, "file") if text else None
    if field is None:
        return None
    if value.startswith("s3://"):
        text = bucket_sources.refusal(value)
        return Problem(pointer, text, "file") if text else None
    if not re.match(r"^https?://[^\s/@]+(/\S*)?$", value):
        text = "Give an uploaded file (upload:<id>) or an http(s):// URL."
        return Problem(pointer, text, "file")
    return None


def upload_problem(upload: Upload | None, accept: list[str]) -> str:
    """Return why `upload` cannot be this input, or an empty string."""
    if upload is None:
        return "This upload does not exist. Upload the file again."
    if upload.status == Upload.Status.REJECTED:
        return upload.problem or "This upload was rejected. Upload the file again."
    if not upload.is_whole:
        return "This upload is not complete yet. Wait for it, or resume it."
    if upload.size == 0:
        return f"{upload.filename} is empty. Choose another file."
    if accept and not content_types.is_any(upload.content_type, accept):
        return (
            f"{upload.filename} is {content_types.words_for(upload.content_type)}; "
            f"this field takes {_kinds(accept)}."
        )
    return ""


def _kinds(accept: list[str]) -> str:
    names = [
        kind.removesuffix("/*")
        if kind.endswith("/*")
        else kind.partition("/")[2].upper()
        for kind in accept
    ]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _problems(error: ValidationError) -> list[Problem]:
    pointer = "/input" + "".join(f"/{part}" for part in error.absolute_path)
    rule = str(error.validator)
    value: Any = error.validator_value
    if rule == "required":
        return _missing(error, pointer)
    if rule == "additionalProperties":
        return _unknown(error, pointer)
    if rule == "anyOf" and error.context:
        return _problems(error.context[0])
    texts = {
        "type": lambda: f"Expected {_type_names(value)}.",
        "enum": lambda: (
            "Choose one of: " + ", ".join(str(choice) for choice in value or []) + "."
        ),
        "minimum": lambda: f"Must be at least {value}.",
        "maximum": lambda: f"Must be at most {value}.",
        "exclusiveMinimum": lambda: f"Must be more than {value}.",
        "exclusiveMaximum": lambda: f"Must be less than {value}.",
        "maxLength": lambda: f"Use at most {value} characters.",
        "minLength": lambda: f"Use at least {value} characters.",
    }
    text = texts[rule]() if rule in texts else error.message[:200]
    return [Problem(pointer, text, rule)]


def _missing(error: ValidationError, pointer: str) -> list[Problem]:
    # jsonschema reports one error per missing name and quotes the name first.
    name = error.message.split("'")[1]
    return [Problem(f"{pointer}/{name}", "This field is required.", "required")]


def _unknown(error: ValidationError, pointer: str) -> list[Problem]:
    schema: Any = error.schema
    instance: Any = error.instance
    known = list(schema.get("properties", {}))
    patterns = schema.get("patternProperties", {})
    problems = []
    for name in instance:
        is_matched = any(input_schemas.matches(pattern, name) for pattern in patterns)
        if name in known or name in OURS or is_matched:
            continue
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean “{near[0]}”?" if near else f"Known: {', '.join(known)}."
        problems.append(
            Problem(
                f"{pointer}/{name}", f"This field does not exist. {hint}", "unknown"
            )
        )
    return problems


def _type_names(value: Any) -> str:
    names = value if isinstance(value, list) else [value]
    return " or ".join(_WORDS.get(name, str(name)) for name in names)
