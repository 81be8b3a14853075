"""Rows for tests; plain functions."""

from typing import Any

from django.contrib.auth import get_user_model

from jobs.models import ApiKey, Attempt, Batch, Endpoint, Job, Upload
from jobs.services.batching import batch_inputs, batches
from jobs.services.files import uploads
from jobs.states import JobStatus
from jobs.storage import LOCAL, local

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["media"],
    "properties": {
        "media": {
            "type": "string",
            "title": "Video",
            "x-widget": "file",
            "x-accept": ["video/*", "image/png"],
        },
        "style": {"type": "string", "enum": ["blur", "cover"], "default": "blur"},
        "level": {"type": "integer", "minimum": 1, "maximum": 9, "x-advanced": True},
    },
}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(100)


def make_user(name: str = "alice", **fields: Any) -> Any:
    users = get_user_model()
    existing = users.objects.filter(username=name).first()
    return existing or users.objects.create_user(
        name, password=f"{name}-password", **fields
    )


def make_key(owner: Any = None, **fields: Any) -> str:
    return ApiKey.issue(owner=owner or make_user(), name="test", **fields)[1]


def make_endpoint(slug: str = "blur", **fields: Any) -> Endpoint:
    existing = Endpoint.objects.filter(slug=slug).first()
    defaults = {"title": slug.capitalize(), "runpod_id": "ep", "runner": slug, **fields}
    return existing or Endpoint.objects.create(slug=slug, **defaults)


def make_local(slug: str = "local", **fields: Any) -> Endpoint:
    return make_endpoint(slug, kind="local", runpod_id="", **fields)


def make_job(
    status: str = JobStatus.PENDING,
    *,
    owner: Any = None,
    endpoint: Endpoint | None = None,
    runpod_id: str = "job-u1",
    **fields: Any,
) -> Job:
    """Return a job in any status, with the attempt that goes with it."""
    is_active = status not in {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}
    values = {"input": {"text": "hi"}, **fields}
    if not is_active:
        values["due_at"] = None
    if status != JobStatus.PENDING:
        values.setdefault("attempt_no", 1)
    job = Job.objects.create(
        owner=owner or make_user(),
        endpoint=endpoint or make_endpoint(),
        status=status,
        **values,
    )
    if job.attempt_no:
        Attempt.objects.create(job=job, number=job.attempt_no, runpod_id=runpod_id)
    return job


def make_upload(
    content: bytes = PNG, *, owner: Any = None, name: str = "in.png"
) -> Upload:
    """Return an upload that has arrived."""
    upload = uploads.open_upload(
        owner=owner or make_user(), filename=name, size=len(content), to=LOCAL
    )
    if content:
        local().save(upload.key, [content])
        uploads.finish_if_whole(upload)
    return upload


def make_batch(
    items: list[Any],
    *,
    owner: Any = None,
    endpoint: Endpoint | None = None,
    **options: Any,
) -> Batch:
    """Return a batch whose items came with the request."""
    owner, endpoint = owner or make_user(), endpoint or make_endpoint()
    size = options.get("batch_size")
    inputs = batch_inputs.inputs_of(endpoint, items, owner=owner, batch_size=size)
    batch_options = batches.Options(**options)
    return batches.create(
        owner=owner, endpoint=endpoint, items=inputs, options=batch_options
    )
