"""`/api/v1/uploads`: open an upload; its bytes go by tus, or in parts to the bucket."""

from typing import Any
from uuid import UUID

from ninja import Router, Status

from jobs.api.auth import ApiRequest, needs
from jobs.api.schemas import PartLinks, PartNumbers, UploadIn, UploadOut
from jobs.lib.errors import NotFound
from jobs.models import Upload
from jobs.services.files import multipart
from jobs.services.files import uploads as service
from jobs.services.files.upload_json import upload_json
from jobs.storage import LOCAL

router = Router(auth=needs("uploads:write"))


@router.post("", response={201: UploadOut}, summary="Open an upload")
def create_upload(request: ApiRequest, body: UploadIn) -> Status[dict[str, Any]]:
    """Open an upload, and send its bytes by its `method`.

    `tus`: PATCH them to `url` (tus 1.0). `s3_multipart`: ask `parts` for links, PUT every
    part, then call `complete`. With `sha256`, a file that is here already is not sent
    again (`deduplicated`); what arrives is rejected when it differs. With `fingerprint`,
    an unfinished upload of the same file is gone on with: `received` says how far it is.
    """
    owner, size = request.auth.owner, body.size
    same = service.known(owner, size=size, sha256=body.sha256)
    begun = service.unfinished(owner, size=size, fingerprint=body.fingerprint)
    upload = (
        same
        or begun
        or service.open_upload(
            owner=owner,
            filename=body.filename,
            size=size,
            sha256=body.sha256,
            fingerprint=body.fingerprint,
        )
    )
    return Status(201, _json(request, upload) | {"deduplicated": same is not None})


@router.post(
    "/{uuid:upload_id}/parts", response=PartLinks, summary="Get links for parts"
)
def sign_parts(request: ApiRequest, upload_id: UUID, body: PartNumbers) -> Any:
    """Return where to PUT parts of an `s3_multipart` upload, good for an hour."""
    links = multipart.links(_upload(request, upload_id), body.numbers)
    return {"parts": [vars(link) for link in links]}


@router.post(
    "/{uuid:upload_id}/complete", response=UploadOut, summary="Complete an upload"
)
def complete_upload(request: ApiRequest, upload_id: UUID) -> dict[str, Any]:
    """Make one file of the parts. Safe to repeat; what is missing is named (409)."""
    upload = _upload(request, upload_id)
    multipart.complete(upload)
    return _json(request, upload)


@router.get("/{uuid:upload_id}", response=UploadOut, summary="Read an upload")
def read_upload(request: ApiRequest, upload_id: UUID) -> dict[str, Any]:
    """Return an upload: how much has arrived, and what it turned out to be."""
    upload = _upload(request, upload_id)
    parts = [vars(part) for part in multipart.arrived(upload)]
    upload.refresh_from_db()
    return _json(request, upload) | {"parts": parts}


@router.delete("/{uuid:upload_id}", response={204: None}, summary="Delete an upload")
def delete_upload(request: ApiRequest, upload_id: UUID) -> Status[None]:
    """Delete a file that no running job needs (409)."""
    upload = _upload(request, upload_id)
    service.discard(upload)
    return Status(204, None)


def _upload(request: ApiRequest, upload_id: UUID) -> Upload:
    upload = Upload.objects.visible_to(request.auth.owner).filter(pk=upload_id).first()
    if upload is None:
        raise NotFound("There is no such upload, or it is not yours.")
    return upload


def _json(request: ApiRequest, upload: Upload) -> dict[str, Any]:
    fields = upload_json(upload)
    url = request.build_absolute_uri(fields["url"]) if upload.store == LOCAL else ""
    return {**fields, "url": url}
