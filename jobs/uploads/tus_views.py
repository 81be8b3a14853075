"""tus 1.0.0 over plain views: OPTIONS, POST, HEAD, DELETE. PATCH is in `receiver`."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from jobs.lib import conf
from jobs.lib.errors import SlipwayError
from jobs.models import Upload
from jobs.services.files import uploads
from jobs.storage import LOCAL
from jobs.uploads import tus
from jobs.uploads.access import uploader

View = Callable[..., HttpResponse]
SHA256 = re.compile(r"^[0-9a-fA-F]{64}$")


def answer(
    status: int, text: str = "", headers: dict[str, str] | None = None
) -> HttpResponse:
    """Return a tus response.

    "The Tus-Resumable header MUST be included in every request and response except for
    OPTIONS requests."
    """
    response = HttpResponse(
        text, status=status, content_type="text/plain; charset=utf-8"
    )
    response["Tus-Resumable"] = tus.VERSION
    if status == 412:
        response["Tus-Version"] = tus.VERSION
    for name, value in (headers or {}).items():
        response[name] = value
    return response


def tus_view(view: View) -> View:
    """Check version and sender; turn our errors into tus answers."""

    @csrf_exempt
    @wraps(view)
    def checked(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if request.method == "OPTIONS":
            return options()
        try:
            tus.check_version(request.headers.get("Tus-Resumable"))
            return view(request, user=uploader(request), **kwargs)
        except SlipwayError as error:
            return answer(error.http_status, str(error))

    return checked


def options() -> HttpResponse:
    """Describe the server. "It SHOULD contain the Tus-Version header"."""
    return answer(
        204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            # "The Tus-Checksum-Algorithm header MUST be included in the response to an
            # OPTIONS request."
            "Tus-Checksum-Algorithm": tus.CHECKSUMS,
            "Tus-Max-Size": str(conf.UPLOAD_MAX_BYTES),
        },
    )


@tus_view
def create(request: HttpRequest, user: Any) -> HttpResponse:
    """Open an upload.

    "The Server MUST acknowledge a successful upload creation with the 201 Created
    status. The Server MUST set the Location header to the URL of the created resource."
    """
    if request.method != "POST":
        return answer(405)
    upload = opened(request, user)
    return answer(201, headers=created(request, upload))


def opened(request: HttpRequest, user: Any) -> Upload:
    """Open the upload that a POST describes."""
    if request.headers.get("Upload-Concat") is not None:
        raise tus.TusError(400, "Send the file as one upload; parts are not joined.")
    if request.headers.get("Upload-Defer-Length") is not None:
        raise tus.TusError(400, "Say the size of the file in Upload-Length.")
    size = tus.whole_number("Upload-Length", request.headers.get("Upload-Length"))
    named = tus.metadata(request.headers.get("Upload-Metadata"))
    sha256 = named.get("sha256", "")
    if sha256 and not SHA256.match(sha256):
        raise tus.TusError(400, "Upload-Metadata: sha256 is 64 hexadecimal digits.")
    return uploads.open_upload(
        owner=user,
        filename=named.get("filename", ""),
        size=size,
        sha256=sha256,
        to=LOCAL,
    )


def created(request: HttpRequest, upload: Upload) -> dict[str, str]:
    """Return the headers that say where an upload is."""
    place = reverse("tus_upload", kwargs={"upload_id": upload.pk})
    return {
        "Location": request.build_absolute_uri(place),
        "Upload-Offset": "0",
        **_expires(upload),
    }


@tus_view
def resource(request: HttpRequest, user: Any, upload_id: UUID) -> HttpResponse:
    """HEAD or DELETE one upload; somebody else's is not there."""
    upload = Upload.objects.visible_to(user).filter(pk=upload_id, store=LOCAL).first()
    if upload is None:
        return answer(404, "There is no such upload.")
    if request.method == "HEAD":
        return _head(upload)
    if request.method == "DELETE":
        return _delete(upload)
    return answer(405)


def _head(upload: Upload) -> HttpResponse:
    """Say how much we have.

    "The Server MUST always include the Upload-Offset header in the response for a HEAD
    request, even if the offset is 0 ... The Server MUST prevent the client and/or
    proxies from caching the response by adding the Cache-Control: no-store header."
    Asking also makes the one who asks the next writer: a half-open connection that
    still holds the file lets go.
    """
    if upload.status == Upload.Status.REJECTED:
        return answer(410, upload.problem)
    offset = upload.size
    if upload.status == Upload.Status.UPLOADING:
        uploads.take_over(upload)
        uploads.finish_if_whole(upload)
        offset = uploads.received(upload)
    return answer(
        200,
        headers={
            "Upload-Offset": str(offset),
            "Upload-Length": str(upload.size),
            "Cache-Control": "no-store",
            **_expires(upload),
        },
    )


def _delete(upload: Upload) -> HttpResponse:
    """Forget an unfinished upload.

    "When receiving a DELETE request for an existing upload the Server SHOULD free
    associated resources and MUST respond with the 204 No Content status".
    """
    uploads.discard(upload)
    return answer(204)


def _expires(upload: Upload) -> dict[str, str]:
    """ "The expiration of an upload ... MUST be in RFC 9110 datetime format"."""
    if upload.expires_at is None or upload.is_whole:
        return {}
    return {"Upload-Expires": http_date(upload.expires_at.timestamp())}
