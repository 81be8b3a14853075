"""What a new installation starts with: an operator, the local endpoints, one job."""

import secrets
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model

from jobs.models import Endpoint, Job, Upload
from jobs.services.files import uploads
from jobs.services.lifecycle import jobs
from jobs.storage import LOCAL, local

LOCAL_QUEUE = "local"
LOCAL_PROOF_SECONDS = 30
OPERATOR = "admin"


def ensure_operator() -> tuple[Any, str]:
    """Return the first superuser, and the password if it had to be created."""
    users = get_user_model()
    operator = users.objects.filter(is_superuser=True).order_by("pk").first()
    if operator:
        return operator, ""
    password = secrets.token_urlsafe(12)
    return users.objects.create_superuser(OPERATOR, password=password), password


def ensure_local_endpoints(runners: list[dict[str, Any]]) -> None:
    """Create a local endpoint for each runner, or update its schema.

    `runners` is the output of `handler.py --schema`.
    """
    for runner in runners:
        endpoint, is_new = Endpoint.objects.get_or_create(
            slug=runner["id"],
            defaults={
                "title": runner["title"],
                "description": runner["description"],
                "kind": Endpoint.Kind.LOCAL,
                "queue": LOCAL_QUEUE,
                "runner": runner["id"],
                "input_schema": runner["input_schema"],
                "proof_seconds": LOCAL_PROOF_SECONDS,
            },
        )
        if not is_new and endpoint.kind == Endpoint.Kind.LOCAL:
            Endpoint.objects.filter(pk=endpoint.pk).update(
                input_schema=runner["input_schema"]
            )


def ensure_sample_job(owner: Any, sample: Path) -> Job | None:
    """Submit the sample as the first job, so that the first page is not empty."""
    endpoint = Endpoint.objects.filter(slug="anonymize", is_active=True).first()
    if endpoint is None or Job.objects.exists():
        return None
    return jobs.create(
        owner=owner,
        endpoint=endpoint,
        input={"media": f"upload:{_stored(owner, sample).pk}"},
        metadata={"sample": True},
    )


def _stored(owner: Any, path: Path) -> Upload:
    """Put a local file in the store as an upload of `owner`."""
    upload = uploads.open_upload(
        owner=owner, filename=path.name, size=path.stat().st_size, to=LOCAL
    )
    local().save(upload.key, [path.read_bytes()])
    uploads.finish_if_whole(upload)
    return upload
