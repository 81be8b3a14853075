"""The raw ASGI receiver of file bytes: PATCH of an upload, and POST with its first ones.

Mounted by `webapp/asgi.py` in front of Django, because Django would spool the whole
body first. Keeps every byte that came before a connection broke.
"""

from io import BytesIO
from typing import Any
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest

from jobs.asgi.artifacts import OUTPUT_PATH, receive_output
from jobs.asgi.body import Body, TakenOver, write_all, writer
from jobs.asgi.messages import Gone, Receive, Send, answer
from jobs.lib import conf
from jobs.lib.errors import SlipwayError
from jobs.lib.threads import in_thread
from jobs.models import Upload
from jobs.services.files import uploads
from jobs.storage import LOCAL
from jobs.storage.disk import LocalWriter
from jobs.uploads import tus
from jobs.uploads.access import uploader
from jobs.uploads.tus import Checksum
from jobs.uploads.tus_views import created, opened

TUS_PATH = "/uploads/tus/"


def receiver_for(scope: dict[str, Any]) -> Any:
    """Return the receiver that takes this request, or None for Django."""
    if scope["type"] != "http":
        return None
    if scope["path"].startswith(TUS_PATH):
        if scope["method"] == "PATCH":
            return receive_patch
        kind = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
        if scope["method"] == "POST" and kind == tus.MEDIA_TYPE:
            return receive_creation
    if scope["method"] == "PUT" and scope["path"].startswith(OUTPUT_PATH):
        return receive_output
    return None


async def receive_patch(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Append a PATCH to its upload and answer as tus wants."""
    await _receive(scope, receive, send, _open_patch, 204)


async def receive_creation(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Open an upload and take its first bytes.

    "The Client MAY include ... the entire upload data or parts of it in the body of the
    POST request. ... the Server MUST include the Upload-Offset header in the response."
    """
    await _receive(scope, receive, send, _open_creation, 201)


async def _receive(
    scope: dict[str, Any], receive: Receive, send: Send, open_: Any, done: int
) -> None:
    headers = {"tus-resumable": tus.VERSION}
    try:
        request = ASGIRequest(scope, BytesIO())
        upload, offset, more = await in_thread(open_, request, scope)
        promise = tus.checksum(request.headers.get("Upload-Checksum"))
        offset = await _append(upload, offset, receive, promise)
        headers |= more | {"upload-offset": str(offset)}
        status, text = done, ""
    except Gone:
        return  # nobody is left to answer
    except TakenOver:
        status, text = 423, "A newer request goes on with this upload."
    except SlipwayError as error:
        status, text = error.http_status, str(error)
        if status == 412:
            headers["tus-version"] = tus.VERSION
        if status == 507:
            text = "The server's disk is full. What has arrived is kept."
    await answer(send, status, text.encode(), headers.items())


def _open_creation(
    request: ASGIRequest, _: dict[str, Any]
) -> tuple[Upload, int, dict[str, str]]:
    tus.check_version(request.headers.get("Tus-Resumable"))
    upload = opened(request, uploader(request))
    _check_length(request, upload, 0)
    where = created(request, upload)
    uploads.take_over(upload)
    return upload, 0, {name.lower(): value for name, value in where.items()}


def _open_patch(
    request: ASGIRequest, scope: dict[str, Any]
) -> tuple[Upload, int, dict[str, str]]:
    tus.check_version(request.headers.get("Tus-Resumable"))
    user = uploader(request)
    # "All PATCH requests MUST use Content-Type: application/offset+octet-stream,
    # otherwise the server SHOULD return a 415 Unsupported Media Type status."
    if request.headers.get("Content-Type") != tus.MEDIA_TYPE:
        raise tus.TusError(415, f"Use Content-Type: {tus.MEDIA_TYPE}.")
    offset = tus.whole_number("Upload-Offset", request.headers.get("Upload-Offset"))
    try:
        pk = UUID(scope["path"].removeprefix(TUS_PATH))
    except ValueError:
        raise tus.TusError(404, "There is no such upload.") from None
    upload = Upload.objects.visible_to(user).filter(pk=pk, store=LOCAL).first()
    if upload is None:
        raise tus.TusError(404, "There is no such upload.")
    if upload.status == Upload.Status.REJECTED:
        raise tus.TusError(410, upload.problem or "This upload was rejected.")
    if upload.status != Upload.Status.UPLOADING:
        raise tus.TusError(403, "This upload is finished.")
    _check_length(request, upload, offset)
    uploads.take_over(upload)
    return upload, offset, {}


def _check_length(request: ASGIRequest, upload: Upload, offset: int) -> None:
    length = request.headers.get("Content-Length")
    if length and offset + tus.whole_number("Content-Length", length) > upload.size:
        raise tus.TusError(413, f"The upload was declared with {upload.size} bytes.")


async def _append(
    upload: Upload, offset: int, receive: Receive, promise: Checksum | None
) -> int:
    """Write the body at `offset`; return the new offset."""
    number = upload.writer_no
    # Left by a process that died before it could compare: the client sends it again.
    is_left = upload.unchecked_from is not None and offset == upload.unchecked_from

    async def may_go_on() -> bool:
        return await in_thread(uploads.is_newest_writer, upload, number)

    file = None
    try:
        async with writer(upload.key, offset, may_go_on, cut=is_left) as file:
            body = Body(receive, may_go_on)
            if promise:
                fits = await _write_promised(upload, body, file, promise)
            else:
                if is_left:
                    await in_thread(uploads.note_unchecked, upload, None)
                fits = await write_all(body.pieces(), file, limit=upload.size)
            if file.offset == upload.size or conf.UPLOAD_SYNC_EACH_PATCH:
                await in_thread(file.flush_to_disk)
    finally:
        # Also after a break: a HEAD goes on from what was written.
        if file is not None:
            await in_thread(_written, upload, file.offset)
    if not fits:
        raise tus.TusError(413, f"The upload was declared with {upload.size} bytes.")
    return file.offset


def _written(upload: Upload, offset: int) -> None:
    uploads.note_received(upload, offset)
    if offset == upload.size:
        uploads.finish_if_whole(upload)


async def _write_promised(
    upload: Upload, body: Body, file: LocalWriter, promise: Checksum
) -> bool:
    """Write a body that must have a checksum, or nothing of it.

    "If the checksums do not match, the Server MUST respond with the 460 Checksum
    Mismatch status and discard the uploaded chunk. ... the Server MUST NOT update the
    offset."
    """
    began, hasher, is_right = file.offset, promise.hasher(), False
    await in_thread(uploads.note_unchecked, upload, began)
    try:
        fits = await write_all(
            body.pieces(), file, limit=upload.size, also=hasher.update
        )
        is_right = fits and hasher.digest() == promise.digest
    finally:
        if not is_right:
            await in_thread(file.cut_back_to, began)
        await in_thread(uploads.note_unchecked, upload, None)
    if fits and not is_right:
        raise tus.TusError(tus.WRONG_CHECKSUM, "The checksum is not that of the body.")
    return fits
