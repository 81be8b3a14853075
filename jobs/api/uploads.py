"""`/api/v1/uploads`: open an upload; its bytes go by tus."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from ninja import Router, Status

from jobs.api.auth import ApiRequest
from jobs.api.errors import require
from jobs.api.schemas import UploadIn, UploadOut
from jobs.errors import Conflict, NotFound
from jobs.models import Upload
from jobs.services import uploads as service

router = Router()


@router.post("", response={201: UploadOut}, summary="Open an upload")
def create_upload(request: ApiRequest, body: UploadIn) -> Status[dict[str, Any]]:
    """Open an upload; send its bytes with tus PATCH requests to `url`."""
    require(request, "uploads:write")
    upload = service.open_upload(
        owner=request.auth.owner, filename=body.filename, size=body.size
    )
    return Status(201, _json(request, upload))


@router.get("/{upload_id}", response=UploadOut, summary="Read an upload")
def read_upload(request: ApiRequest, upload_id: UUID) -> dict[str, Any]:
    """Return an upload: how much has arrived, and what it turned out to be."""
    require(request, "uploads:write")
    return _json(request, _upload(request, upload_id))


@router.delete("/{upload_id}", response={204: None}, summary="Delete an upload")
def delete_upload(request: ApiRequest, upload_id: UUID) -> Status[None]:
    """Forget an upload that no job uses."""
    require(request, "uploads:write")
    upload = _upload(request, upload_id)
    if upload.expires_at is None:
        raise Conflict("A job uses this file; it goes with the job.", code="in_use")
    service.delete(upload)
    return Status(204, None)


def _upload(request: ApiRequest, upload_id: UUID) -> Upload:
    upload = Upload.objects.visible_to(request.auth.owner).filter(pk=upload_id).first()
    if upload is None:
        raise NotFound("There is no such upload, or it is not yours.")
    return upload


def _json(request: ApiRequest, upload: Upload) -> dict[str, Any]:
    path = reverse("tus_upload", kwargs={"upload_id": upload.pk})
    return {
        "id": str(upload.pk),
        "filename": upload.filename,
        "size": upload.size,
        "received": upload.received,
        "status": upload.status,
        "content_type": upload.content_type,
        "sha256": upload.sha256,
        "problem": upload.problem,
        "method": "tus",
        "url": request.build_absolute_uri(path),
        "expires_at": upload.expires_at,
    }
