"""The raw ASGI receiver of a worker's output: one PUT, stored whole or not at all."""

import hashlib
import json
from typing import Any

from jobs.asgi.body import Body, TakenOver, write_all, writer
from jobs.asgi.messages import Gone, Receive, Send, answer
from jobs.lib import conf
from jobs.lib.errors import Conflict, SlipwayError
from jobs.lib.threads import in_thread
from jobs.models import Attempt, artifact_key
from jobs.services.files import artifacts
from jobs.services.files.artifact_links import OUTPUT_PATH, read_output_path
from jobs.services.lifecycle import attempts
from jobs.storage import local

__all__ = ["OUTPUT_PATH", "receive_output"]


class Cut(SlipwayError):
    """Fewer or more bytes came than were announced."""

    code = "cut"
    http_status = 400


async def receive_output(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Store the one PUT of a worker's output file, whole or not at all."""
    try:
        attempt, name, content_type = await in_thread(_open_output, scope["path"])
        body = await _store_output(scope, receive, attempt, name, content_type)
        status = 201
    except Gone:
        return
    except (Conflict, TakenOver) as error:
        status, body = 409, {"code": "over", "detail": str(error)}
    except SlipwayError as error:
        status, body = error.http_status, {"code": error.code, "detail": str(error)}
    headers = [("content-type", "application/json")]
    await answer(send, status, json.dumps(body).encode(), headers)


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
    key = artifact_key(attempt)
    digest = hashlib.sha256()
    declared = dict(scope["headers"]).get(b"content-length")
    limit = int(declared) if declared else conf.OUTPUT_MAX_BYTES

    async def always() -> bool:
        return True

    try:
        async with writer(key, 0, always) as file:
            await write_all(
                Body(receive, always).pieces(), file, limit=limit, also=digest.update
            )
            await in_thread(file.flush_to_disk)
        _check_whole(file.offset, limit if declared else file.offset)
        stored = {"size": file.offset, "sha256": digest.hexdigest()}
        replaced = await in_thread(
            artifacts.keep,
            attempt,
            name=name,
            content_type=content_type,
            key=key,
            **stored,
        )
    except BaseException:
        await in_thread(local().delete, key)
        raise
    if replaced:
        await in_thread(artifacts.forget, replaced)
    return {"name": name, **stored}


def _check_whole(size: int, declared: int) -> None:
    if size != declared:
        raise Cut("The body was cut.")
