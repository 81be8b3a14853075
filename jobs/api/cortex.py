"""`/batch/<endpoint>?jobID=`: Cortex's Batch API (v0.35), so its programs go on working.

Requests, answers, status words and errors are Cortex's; what is done is what `/batches`
does. A key is needed, which Cortex did not know: in the header, or in the address of a
program that cannot be changed (`https://x:<key>@host/batch/<endpoint>`).
"""

import json
from base64 import b64decode
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt
from ninja.errors import HttpError
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from jobs.api.auth import Caller, needs
from jobs.api.body import CORTEX, limit
from jobs.lib import clean_json
from jobs.lib.errors import InvalidInput, NotFound, Problem, SlipwayError, TooLarge
from jobs.models import Batch, Endpoint
from jobs.services.batching import batch_inputs, batches, cortex, item_sources
from jobs.services.batching.batches import Options
from jobs.services.files import bucket_sources
from jobs.services.lifecycle import batch_envelope
from jobs.services.lifecycle.batch_envelope import PAYLOAD

ITEM_MAX_BYTES = 250 * 1024
KEYS = ("item_list", "file_path_lister", "delimited_files")
METHODS = ("GET", "POST", "DELETE")
SCOPES = {"GET": "jobs:read"}
Whole = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
Json = dict[str, Any]


class Refused(SlipwayError):
    """What Cortex refuses, with its own word for it."""

    http_status = 400

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.code = f"batchapi.{kind}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ItemList(_Strict):
    """Items in the request."""

    items: list[Any] = Field(min_length=1)
    batch_size: Whole


class FileList(_Strict):
    """Files in a bucket."""

    s3_paths: list[str] = Field(min_length=1, max_length=1000)
    includes: list[str] = Field([], max_length=100)
    excludes: list[str] = Field([], max_length=100)
    batch_size: Whole


class DeadLetters(_Strict):
    """How often a batch is tried. Ours are kept with the batch, not in this queue."""

    arn: str = Field(min_length=1)
    max_receive_count: Whole


class Submission(_Strict):
    """A job, as Cortex calls a batch."""

    workers: Whole
    timeout: Whole | None = None
    config: Json | None = None
    retries: Annotated[StrictInt, Field(ge=0, le=99)] | None = None
    sqs_dead_letter_queue: DeadLetters | None = None
    item_list: ItemList | None = None
    file_path_lister: FileList | None = None
    delimited_files: FileList | None = None

    @property
    def max_attempts(self) -> int:
        """As in Cortex: one attempt, unless something else is asked for."""
        if self.retries is not None:
            return self.retries + 1
        letters = self.sqs_dead_letter_queue
        return min(letters.max_receive_count, 100) if letters else 1


@csrf_exempt
def batch(request: HttpRequest, slug: str) -> HttpResponse:
    """Submit, read or stop a job."""
    if request.method not in METHODS:
        text = json.dumps({"kind": "denied", "message": "Use GET, POST or DELETE."})
        return HttpResponseNotAllowed(METHODS, text, content_type="application/json")
    try:
        caller = _caller(request)
        endpoint = Endpoint.by_slug(slug)
        if endpoint is None or not caller.allows_endpoint(slug):
            raise NotFound(f"{slug} is not deployed.")
        if request.method == "POST":
            return _submit(request, caller, endpoint)
        batch = _find(request, caller, endpoint)
        if request.method == "DELETE":
            return _stop(batch)
        return _answer(_shown(request, batch))
    except SlipwayError as error:
        return refusal(error)
    except HttpError as error:
        return _answer({"kind": "denied", "message": str(error)}, error.status_code)


def is_for(path: str) -> bool:
    """Whether a path is one of these routes."""
    return path.startswith(CORTEX)


def refusal(error: SlipwayError) -> HttpResponse:
    """Return an error as Cortex writes it."""
    # Cortex's programs look for 400 only.
    status = 400 if isinstance(error, InvalidInput) else error.http_status
    return _answer({"kind": error.code, "message": str(error)}, status)


def _caller(request: HttpRequest) -> Caller:
    method = request.method or ""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        request.META["HTTP_AUTHORIZATION"] = f"Bearer {_password(credentials)}"
        request.__dict__.pop("headers", None)  # which are made once
    caller = needs(SCOPES.get(method, "jobs:write"))(request)
    if caller is None:
        raise HttpError(401, "Send a valid API key: Authorization: Bearer <key>.")
    return caller


def _password(credentials: str) -> str:
    try:
        name, _, password = (
            b64decode(credentials, validate=True).decode().partition(":")
        )
    except ValueError:
        return ""
    return password or name


# --- submit ---------------------------------------------------------------------------
def _submit(request: HttpRequest, caller: Caller, endpoint: Endpoint) -> HttpResponse:
    if len(request.body) > limit(request.path):
        raise TooLarge("The request is larger than 10 MiB.")
    sent = _parsed(request.body)
    batch_inputs.check_endpoint(endpoint)
    items, source = _contents(endpoint, sent, caller.owner)
    if request.GET.get("dryRun", "").lower() == "true":
        return _dry_run(source)
    made = batches.create(
        owner=caller.owner,
        api_key_id=caller.key_id,
        endpoint=endpoint,
        items=items,
        source=source,
        options=Options(
            metadata=_metadata(sent),
            workers=sent.workers,
            batch_size=_list_of(sent).batch_size,
            config=sent.config or {},
            max_attempts=sent.max_attempts,
            timeout_seconds=sent.timeout,
            has_completion=True,
        ),
    )
    return _answer(batch_envelope.job_spec(made))


def _parsed(body: bytes) -> Submission:
    value = clean_json.strict(body)
    try:
        sent = Submission.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refused("invalid", f"{place}: {first['msg']}") from None
    given = [name for name in KEYS if getattr(sent, name) is not None]
    names = ", ".join(KEYS)
    if not given:
        text = f"specify exactly one of the following keys: {names}"
        raise Refused("specify_exactly_one_key", text)
    if len(given) > 1:
        text = f"found {' and '.join(given)}: please specify exactly one of {names}"
        raise Refused("conflicting_fields", text)
    return sent


def _metadata(sent: Submission) -> Json:
    letters = sent.sqs_dead_letter_queue
    return {batch_envelope.LETTERS: letters.model_dump()} if letters else {}


def _list_of(sent: Submission) -> ItemList | FileList:
    source = sent.item_list or sent.file_path_lister or sent.delimited_files
    if source is None:
        raise AssertionError  # `_parsed` has seen to it
    return source


def _contents(
    endpoint: Endpoint, sent: Submission, owner: Any
) -> tuple[list[Any] | None, Json | None]:
    """Return (inputs of jobs, None) or (None, where to read the items)."""
    if sent.item_list:
        for index, item in enumerate(sent.item_list.items):
            if len(json.dumps(item)) > ITEM_MAX_BYTES:
                text = f"item {index} is larger than 256000 bytes, the limit of an item"
                raise Refused("item_size_exceeds_limit", text)
        size = sent.item_list.batch_size
        job_inputs = batch_inputs.inputs_of(
            endpoint, sent.item_list.items, owner=owner, batch_size=size
        )
        for index, one in enumerate(job_inputs):
            if len(json.dumps(one[PAYLOAD])) > ITEM_MAX_BYTES:
                text = f"batch {index} is larger than 256000 bytes: use a smaller batch_size"
                raise Refused("message_exceeds_max_size", text)
        return job_inputs, None
    kind = "listing" if sent.file_path_lister else "delimited"
    fields = _list_of(sent).model_dump(exclude={"batch_size"})
    try:
        return None, item_sources.check({"kind": kind, **fields}, owner=owner)
    except InvalidInput as error:
        if error.problems[0].message == item_sources.NO_FILES:
            raise Refused("no_s3_files_found", item_sources.NO_FILES) from None
        raise


def _dry_run(source: Json | None) -> HttpResponse:
    """Return the files, each on a line, and that the submission is valid."""
    listed = bucket_sources.paths(source, {}) if source else ()
    lines = [*(path for path, _ in listed), "validations passed"]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain")


# --- read and stop --------------------------------------------------------------------
def _find(request: HttpRequest, caller: Caller, endpoint: Endpoint) -> Batch:
    job_id = request.GET.get("jobID", "")
    if not job_id:
        raise InvalidInput(Problem("/jobID", "jobID is a required query parameter."))
    seen = Batch.objects.visible_to(caller.owner).filter(endpoint=endpoint)
    try:
        matches = seen.select_related("endpoint", "completion").filter(pk=UUID(job_id))
    except ValueError:
        matches = seen.none()
    batch = matches.first()
    if batch is None:
        text = f"unable to find batch job {endpoint.slug}/{job_id[:80]}"
        error = NotFound(text)
        error.code = "batchapi.job_not_found"
        raise error
    return batch


def _shown(request: HttpRequest, batch: Batch) -> Json:
    endpoint, status = batch.endpoint, cortex.job_status(batch)
    return {
        "job_status": status,
        "metrics": status["batch_metrics"],
        "api_spec": {
            "name": endpoint.slug,
            "kind": batch_envelope.KIND,
            "id": str(endpoint.pk),
            "config": endpoint.config,
        },
        "endpoint": request.build_absolute_uri(request.path),
    }


def _stop(batch: Batch) -> HttpResponse:
    if batch.ended_at:
        raise Refused("job_is_not_in_progress", "cannot stop batch job: it has ended")
    batches.request_cancel(batch)
    return _answer({"message": f"stopped job {batch.pk}"})


def _answer(body: Json, status: int = 200) -> HttpResponse:
    return HttpResponse(json.dumps(body), "application/json", status)
