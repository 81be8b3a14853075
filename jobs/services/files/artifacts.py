"""The files that a worker delivers: where it sends them, and whether they arrived.

Files for our disk pass through us and are measured on the way. Files for a bucket are
sent there directly and compared with the worker's manifest before the job ends.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings

from jobs.lib import conf
from jobs.lib.errors import Conflict, InvalidInput, NotFound, Problem, TooLarge
from jobs.models import Artifact, Attempt, artifact_key
from jobs.services.files import uploads
from jobs.services.files.artifact_links import output_path
from jobs.storage import LOCAL, S3, NoSuchMultipart, bucket, current_name, store


def open_output(
    attempt: Attempt, name: str, content_type: str, size: int
) -> dict[str, Any]:
    """Return how to send one file: {"method", "url"} or {"method", "part_size"}.

    A worker that does not know the size sends the file through us, whatever our store
    is. Opening a name again restarts its file.
    """
    _check_open(attempt)
    if size > conf.OUTPUT_MAX_BYTES:
        raise TooLarge(f"{name} is larger than {conf.OUTPUT_MAX_BYTES} bytes.")
    if not size or current_name() == LOCAL:
        lives = timedelta(seconds=conf.LINK_MARGIN_SECONDS)
        path = output_path(attempt, name, content_type, lives)
        return {"method": "PUT", "url": f"{settings.PUBLIC_URL}{path}"}
    artifact = _begin(attempt, name, content_type, size)
    if artifact.multipart_id:
        return {"method": "PUT_PARTS", "part_size": artifact.part_size}
    lives = timedelta(seconds=conf.PART_LINK_SECONDS)
    once = bool(conf.BUCKET_CONDITIONAL_WRITES)
    url = bucket().put_link(artifact.key, size, lives, once=once)
    return {
        "method": "PUT",
        "url": url,
        "headers": {"If-None-Match": "*"} if once else {},
    }


def part_links(attempt: Attempt, name: str, numbers: list[int]) -> list[dict[str, Any]]:
    """Return [{"number", "size", "url"}] for parts of an opened file."""
    _check_open(attempt)
    artifact = attempt.artifacts.filter(name=name).exclude(multipart_id="").first()
    if artifact is None:
        raise NotFound(f"No file called {name} was opened in parts.")
    if len(numbers) > conf.PARTS_SIGNED_AT_ONCE:
        raise InvalidInput(
            Problem("/numbers", f"Ask for at most {conf.PARTS_SIGNED_AT_ONCE} at once.")
        )
    if not all(1 <= number <= artifact.part_count for number in numbers):
        text = f"This file has parts 1 to {artifact.part_count}."
        raise InvalidInput(Problem("/numbers", text))
    lives = timedelta(seconds=conf.PART_LINK_SECONDS)
    return [
        {
            "number": number,
            "size": artifact.size_of_part(number),
            "url": bucket().part_link(
                artifact.key,
                artifact.multipart_id,
                number,
                artifact.size_of_part(number),
                lives,
            ),
        }
        for number in numbers
    ]


def keep(
    attempt: Attempt, *, name: str, content_type: str, size: int, sha256: str, key: str
) -> Artifact | None:
    """Record a file that arrived on our disk; return the row that it replaces."""
    _check_open(attempt)
    values = {"size": size, "sha256": sha256, "store": LOCAL, "key": key}
    return _put(attempt, name, content_type, **values)


def forget(old: Artifact) -> None:
    """Delete the bytes of a file that was replaced."""
    if old.multipart_id:
        bucket().abort(old.key, old.multipart_id)
    store(old.store).delete(old.key)


def settle(
    artifact: Artifact, file: dict[str, Any], going_on: Callable[[], object]
) -> str:
    """Compare a file in the bucket with its line in the manifest; return the problem.

    `going_on` is called between pieces, because a large file takes minutes. Raise
    `StoreError` if the bucket does not answer.
    """
    name, size, sha256 = file["name"], file["size"], file["sha256"]
    if artifact.size != size:
        return f"{name} does not match the worker's manifest."
    if artifact.multipart_id:
        _complete(artifact)
    if bucket().size(artifact.key) != size:
        return f"{name} is incomplete in the bucket."
    if size <= conf.BUCKET_HASH_MAX_BYTES and artifact.sha256 != sha256:
        digest = hashlib.sha256()
        for piece in bucket().chunks(artifact.key, 0, size):
            digest.update(piece)
            going_on()
        if digest.hexdigest() != sha256:
            return f"{name} does not match the worker's manifest."
    Artifact.objects.filter(pk=artifact.pk).update(sha256=sha256, multipart_id="")
    return ""


def _begin(attempt: Attempt, name: str, content_type: str, size: int) -> Artifact:
    key = artifact_key(attempt)
    part_size = uploads.part_size(size)
    is_large = size > part_size
    old = attempt.artifacts.filter(name=name).first()
    if old:
        forget(old)
    _put(
        attempt,
        name,
        content_type,
        size=size,
        sha256="",
        store=S3,
        key=key,
        multipart_id=bucket().begin(key) if is_large else "",
        part_size=part_size,
    )
    return attempt.artifacts.get(name=name)


def _put(
    attempt: Attempt, name: str, content_type: str, **values: Any
) -> Artifact | None:
    """Write the row of a file; return the row that had its name before."""
    old = Artifact.objects.filter(attempt=attempt, name=name).first()
    defaults = {
        "content_type": content_type[:120],
        "multipart_id": "",
        "part_size": 0,
        **values,
    }
    Artifact.objects.update_or_create(attempt=attempt, name=name, defaults=defaults)
    return old


def _complete(artifact: Artifact) -> None:
    try:
        parts = bucket().parts(artifact.key, artifact.multipart_id)
        bucket().complete(artifact.key, artifact.multipart_id, parts)
    except NoSuchMultipart:
        pass  # completed earlier; the size decides


def _check_open(attempt: Attempt) -> None:
    if attempt.manifest is not None:
        raise Conflict("This attempt already has its result.", code="done")
