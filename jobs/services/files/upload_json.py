"""An upload as programs and pages read it."""

from typing import Any

from django.urls import reverse

from jobs.models import Upload
from jobs.storage import S3


def upload_json(upload: Upload) -> dict[str, Any]:
    """Return an upload's fields; `url` is a path, and `part_size` null where it streams."""
    is_in_parts = upload.store == S3
    route = "multipart_upload" if is_in_parts else "tus_upload"
    return {
        "id": str(upload.pk),
        "filename": upload.filename,
        "size": upload.size,
        "received": upload.received,
        "status": upload.status,
        "content_type": upload.content_type,
        "sha256": upload.sha256,
        "problem": upload.problem,
        "method": "s3_multipart" if is_in_parts else "tus",
        "url": reverse(route, kwargs={"upload_id": upload.pk}),
        "part_size": upload.part_size or None,
        "part_count": upload.part_count or None,
        "expires_at": upload.expires_at,
    }
