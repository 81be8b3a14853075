"""`/uploads/open` and `/uploads/s3/multipart…`: JSON for browsers and programs.

`open` finds what is there already: the same file, or an unfinished upload of it. It then
says by which way the bytes go: tus to us, or presigned parts to the bucket.
"""

import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from jobs.lib import clean_json
from jobs.lib.errors import (
    Conflict,
    InvalidInput,
    Problem,
    SlipwayError,
    TooLarge,
)
from jobs.models import Upload
from jobs.services.files import multipart, uploads
from jobs.services.files.upload_json import upload_json
from jobs.storage import S3, current_name
from jobs.uploads.access import Denied, uploader

BODY_MAX = 1024 * 1024
_HEX = re.compile(r"^(|[0-9a-fA-F]{64})$")
View = Callable[..., dict[str, Any] | None]


def json_view(*methods: str) -> Callable[[View], Callable[..., JsonResponse]]:
    """Check method and sender, parse the body, and turn our errors into JSON."""

    def decorate(view: View) -> Callable[..., JsonResponse]:
        @csrf_exempt  # `uploader` checks it, where a cookie is used
        @wraps(view)
        def checked(request: HttpRequest, **kwargs: Any) -> JsonResponse:
            if request.method not in methods:
                return _problem(405, "method_not_allowed", f"Use {methods[0]}.")
            try:
                user = uploader(request)
                answer = view(request, user=user, **kwargs)
            except SlipwayError as error:
                return _problem(error.http_status, error.code, str(error))
            return JsonResponse(answer or {}, status=200 if answer else 204)

        return checked

    return decorate


def _problem(status: int, code: str, detail: str) -> JsonResponse:
    return JsonResponse({"code": code, "detail": detail}, status=status)


@json_view("POST")
def open_upload(request: HttpRequest, user: Any) -> dict[str, Any]:
    """Find the file, or its unfinished upload, or open a new one."""
    return _opened(_body(request), user)


@json_view("POST")
def create(request: HttpRequest, user: Any) -> dict[str, Any]:
    """Do the same, for a client that can only send parts."""
    if current_name() != S3:
        raise Conflict("This server takes uploads over tus.", code="tus")
    return _opened(_body(request), user)


def _opened(body: dict[str, Any], user: Any) -> dict[str, Any]:
    """Find or open the upload of a file: {"filename", "size", "fingerprint", "sha256"}.

    `fingerprint` is whatever the client knows a file by; `sha256` is worth sending when
    an answer says `may_be_known`.
    """
    size, filename = body.get("size"), body.get("filename")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**53:
        raise InvalidInput(Problem("/size", "The number of bytes of the file."))
    if not isinstance(filename, str) or len(filename) > 1000:
        raise InvalidInput(Problem("/filename", "The file's name."))
    fingerprint, sha256 = _hash(body, "fingerprint"), _hash(body, "sha256")
    same = uploads.known(user, size=size, sha256=sha256)
    if same:
        return upload_json(same) | {"deduplicated": True}
    begun = uploads.unfinished(user, size=size, fingerprint=fingerprint)
    if begun:
        return upload_json(begun)
    if not sha256 and uploads.may_be_known(user, size=size, fingerprint=fingerprint):
        return {"may_be_known": True}
    return upload_json(
        uploads.open_upload(
            owner=user,
            filename=filename,
            size=size,
            sha256=sha256,
            fingerprint=fingerprint,
        )
    )


@json_view("GET", "DELETE")
def resource(request: HttpRequest, user: Any, upload_id: UUID) -> dict[str, Any] | None:
    """List the parts that have arrived, or abort."""
    upload = _upload(user, upload_id)
    if request.method == "DELETE":
        uploads.discard(upload)
        return None
    parts = [{"number": p.number, "size": p.size} for p in multipart.arrived(upload)]
    upload.refresh_from_db()
    return upload_json(upload) | {"parts": parts}


@json_view("POST")
def sign(request: HttpRequest, user: Any, upload_id: UUID) -> dict[str, Any]:
    """Return where to PUT parts: {"numbers": [1, 2]}."""
    numbers = _body(request).get("numbers")
    is_fit = isinstance(numbers, list) and all(type(n) is int for n in numbers)
    if not is_fit or not isinstance(numbers, list):
        raise InvalidInput(Problem("/numbers", "A list of part numbers."))
    links = multipart.links(_upload(user, upload_id), numbers)
    return {"parts": [vars(link) for link in links]}


@json_view("POST")
def complete(request: HttpRequest, user: Any, upload_id: UUID) -> dict[str, Any]:
    """Make one file of the parts; safe to repeat."""
    upload = _upload(user, upload_id)
    multipart.complete(upload)
    return upload_json(upload)


def _upload(user: Any, pk: UUID) -> Upload:
    upload = Upload.objects.visible_to(user).filter(pk=pk).first()
    if upload is None:
        raise Denied(404, "There is no such upload.")
    return upload


def _body(request: HttpRequest) -> dict[str, Any]:
    if len(request.body) > BODY_MAX:
        raise TooLarge("The body is larger than 1 MiB.")
    try:
        body = json.loads(request.body or b"{}")
        clean_json.check(body, "")
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise InvalidInput(Problem("", "Send a JSON object."))
    return body


def _hash(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or not _HEX.match(value):
        raise InvalidInput(Problem(f"/{name}", "64 hexadecimal digits."))
    return value.lower()
