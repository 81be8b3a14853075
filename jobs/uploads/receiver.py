"""The raw ASGI receiver of file bytes: PATCH of an upload, PUT of a worker's output.

Mounted by `webapp/asgi.py` in front of Django, because Django would spool the whole
body first. Keeps every byte that came before a connection broke.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest

from jobs import conf
from jobs.errors import Conflict, LinkRefused, NotFound
from jobs.models import Attempt, Upload
from jobs.models.ids import new_id
from jobs.services import attempts, uploads
from jobs.services.output_links import OUTPUT_PATH, read_output_path
from jobs.storage import StoreError, StoreFull, WrongOffset, store
from jobs.storage.base import Writer
from jobs.threads import in_thread
from jobs.uploads import tus
from jobs.uploads.access import Denied, uploader
from jobs.uploads.body import Body, Gone, Receive, TakenOver, write_all

Send = Callable[[dict[str, Any]], Awaitable[None]]
TUS_PATH = "/uploads/tus/"


def receiver_for(scope: dict[str, Any]) -> Any:
    """Return the receiver that takes this request, or None for Django."""
    if scope["type"] != "http":
        return None
    if scope["method"] == "PATCH" and scope["path"].startswith(TUS_PATH):
        return receive_patch
    if scope["method"] == "PUT" and scope["path"].startswith(OUTPUT_PATH):
        return receive_output
    return None


async def receive_patch(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Append a PATCH to its upload and answer as tus wants."""
    headers = {"tus-resumable": tus.VERSION}
    try:
        upload, offset = await in_thread(_open_patch, scope)
        headers["upload-offset"] = str(await _append(upload, offset, receive))
        status, text = 204, ""
    except Gone:
        return  # nobody is left to answer
    except (tus.TusError, Denied) as error:
        status, text = error.status, str(error)
        if status == 412:
            headers["tus-version"] = tus.VERSION
    except WrongOffset as error:
        status, text = 409, str(error)
    except TakenOver:
        status, text = 423, "A newer request goes on with this upload."
    except StoreFull:
        status, text = 507, "The server's disk is full. What has arrived is kept."
    except StoreError as error:
        status, text = 503, str(error)
    await _answer(send, status, text.encode(), headers)


def _open_patch(scope: dict[str, Any]) -> tuple[Upload, int]:
    request = ASGIRequest(scope, BytesIO())
    tus.check_version(request.headers.get("Tus-Resumable"))
    user = uploader(request)
    # "All PATCH requests MUST use Content-Type: application/offset+octet-stream,
    # otherwise the server SHOULD return a 415 Unsupported Media Type status."
    if request.headers.get("Content-Type") != "application/offset+octet-stream":
        raise tus.TusError(415, "Use Content-Type: application/offset+octet-stream.")
    offset = tus.whole_number("Upload-Offset", request.headers.get("Upload-Offset"))
    try:
        pk = UUID(scope["path"].removeprefix(TUS_PATH))
    except ValueError:
        raise tus.TusError(404, "There is no such upload.") from None
    upload = Upload.objects.visible_to(user).filter(pk=pk).first()
    if upload is None:
        raise tus.TusError(404, "There is no such upload.")
    if upload.status == Upload.Status.REJECTED:
        raise tus.TusError(410, upload.problem or "This upload was rejected.")
    if upload.status != Upload.Status.UPLOADING:
        raise tus.TusError(403, "This upload is finished.")
    length = request.headers.get("Content-Length")
    if length and offset + tus.whole_number("Content-Length", length) > upload.size:
        raise tus.TusError(413, f"The upload was declared with {upload.size} bytes.")
    return upload, offset


async def _append(upload: Upload, offset: int, receive: Receive) -> int:
    """Write the body at `offset`; return the new offset."""
    number = await in_thread(uploads.take_over, upload)

    async def may_go_on() -> bool:
        return await in_thread(uploads.is_newest_writer, upload, number)

    async with _writer(upload.key, offset, may_go_on) as writer:
        try:
            fits = await write_all(
                Body(receive, may_go_on).pieces(), writer, limit=upload.size
            )
        finally:
            # Also after a break: a HEAD goes on from what was written.
            await in_thread(uploads.note_received, upload, writer.offset)
        if writer.offset == upload.size:
            await in_thread(writer.flush_to_disk)
    if writer.offset == upload.size:
        await in_thread(uploads.finish, upload)
    offset = int(writer.offset)
    if not fits:
        raise tus.TusError(413, f"The upload was declared with {upload.size} bytes.")
    return offset


@asynccontextmanager
async def _writer(
    key: str, offset: int, may_go_on: Callable[[], Awaitable[bool]]
) -> Any:
    """Open the file; wait a little for an older writer to notice that it must stop."""
    until = asyncio.get_running_loop().time() + conf.UPLOAD_TAKE_OVER_SECONDS
    while True:
        opened = store().writer(key, offset)
        try:
            writer: Writer = await asyncio.to_thread(opened.__enter__)
            break
        except (WrongOffset, StoreFull):
            raise
        except StoreError:
            if asyncio.get_running_loop().time() > until:
                raise
            if not await may_go_on():
                raise TakenOver from None
            await asyncio.sleep(0.1)
    try:
        yield writer
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)


async def receive_output(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Store the one PUT of a worker's output file, whole or not at all."""
    try:
        attempt, name, content_type = await in_thread(_open_output, scope["path"])
        body = await _store_output(scope, receive, attempt, name, content_type)
        status = 201
    except Gone:
        return
    except LinkRefused as error:
        status, body = 403, {"code": error.code, "detail": str(error)}
    except NotFound as error:
        status, body = 404, {"code": error.code, "detail": str(error)}
    except (Conflict, TakenOver) as error:
        status, body = 409, {"code": "over", "detail": str(error)}
    except tus.TusError as error:
        status, body = error.status, {"code": "cut", "detail": str(error)}
    except StoreError as error:
        status, body = 507, {"code": "no_space", "detail": str(error)}
    headers = {"content-type": "application/json"}
    await _answer(send, status, json.dumps(body).encode(), headers)


def _open_output(path: str) -> tuple[Attempt, str, str]:
    attempt_id, name, content_type = read_output_path(path)
    attempt = attempts.find(attempt_id)
    if attempt.manifest is not None:
        raise Conflict("This attempt has its result already.", code="done")
    return attempt, name, content_type


async def _store_output(
    scope: dict[str, Any],
    receive: Receive,
    attempt: Attempt,
    name: str,
    content_type: str,
) -> dict[str, Any]:
    key = f"out/{attempt.job_id.hex}/{attempt.number}/{new_id().hex}"
    digest = hashlib.sha256()
    declared = dict(scope["headers"]).get(b"content-length")
    limit = int(declared) if declared else conf.OUTPUT_MAX_BYTES

    async def always() -> bool:
        return True

    try:
        async with _writer(key, 0, always) as writer:
            await write_all(
                Body(receive, always).pieces(), writer, limit=limit, also=digest.update
            )
            await in_thread(writer.flush_to_disk)
        _check_whole(writer.offset, limit if declared else writer.offset)
        stored = {"size": writer.offset, "sha256": digest.hexdigest()}
        replaced = await in_thread(
            attempts.keep_artifact,
            attempt,
            name=name,
            content_type=content_type,
            key=key,
            **stored,
        )
    except BaseException:
        await in_thread(store().delete, key)
        raise
    if replaced:
        await in_thread(store().delete, replaced)
    return {"name": name, **stored}


def _check_whole(size: int, declared: int) -> None:
    if size != declared:
        raise tus.TusError(400, "The body was cut.")


async def _answer(
    send: Send, status: int, body: bytes, headers: dict[str, str]
) -> None:
    headers = {**headers, "content-length": str(len(body))}
    if status == 204:
        del headers["content-length"]
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
