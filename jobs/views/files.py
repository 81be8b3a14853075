"""`/files/<signed>`: expiring downloads with Range, for workers and previews."""

import asyncio
import re
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)

from jobs.lib.errors import LinkRefused, NotFound
from jobs.services.files import downloads
from jobs.storage import StoreError, local

_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")


async def file(request: HttpRequest, signed: str) -> HttpResponseBase:
    """Send a file or a part of it."""
    try:
        stored = await sync_to_async(downloads.find)(signed)
        direct = await sync_to_async(downloads.direct_url)(stored)
    except NotFound:
        raise Http404 from None
    except (LinkRefused, StoreError) as error:
        remedy = "Open the job's page to get a new one." * isinstance(
            error, LinkRefused
        )
        text, status = f"{error} {remedy}".strip(), error.http_status
        return HttpResponse(f"{text}\n", status=status, content_type="text/plain")
    if direct:
        return _away(direct)
    etag = f'"{stored.etag}"'
    if request.headers.get("If-None-Match") == etag:
        return _dressed(HttpResponse(status=304), stored, etag)
    wanted = request.headers.get("Range", "")
    if request.headers.get("If-Range", etag) != etag:
        wanted = ""
    span = _span(wanted, stored.size)
    if span is None:
        response = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{stored.size}"
        return response
    return _dressed(_part(request, stored, *span, is_part=bool(wanted)), stored, etag)


def _part(
    request: HttpRequest,
    stored: downloads.StoredFile,
    start: int,
    end: int,
    *,
    is_part: bool,
) -> HttpResponseBase:
    """Stream bytes `start` to `end` (exclusive), or have the proxy do it."""
    if settings.X_ACCEL_PREFIX:  # it knows ranges itself
        response = HttpResponse()
        response["X-Accel-Redirect"] = f"{settings.X_ACCEL_PREFIX}/{stored.key}"
        return response
    status = 206 if is_part and (start, end) != (0, stored.size) else 200
    part: HttpResponseBase = HttpResponse(status=status)
    if request.method != "HEAD":
        pieces = _pieces(stored.key, start, end)
        part = StreamingHttpResponse(pieces, status=status)
    part["Content-Length"] = str(end - start)
    if status == 206:
        part["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
    return part


def _away(url: str) -> HttpResponse:
    """Send the browser to the bucket; the link there lives for minutes."""
    response = HttpResponse(status=302)
    response["Location"] = url
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _dressed(
    response: HttpResponseBase, stored: downloads.StoredFile, etag: str
) -> HttpResponseBase:
    """Add the headers that keep a file from ever acting as a page of ours."""
    response["Content-Type"] = stored.served.content_type
    response["Content-Disposition"] = stored.served.content_disposition
    response["ETag"] = etag
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, max-age=3600"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Referrer-Policy"] = "no-referrer"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _span(header: str, size: int) -> tuple[int, int] | None:
    """Return (start, end) of the part wanted; None when it cannot be had (416).

    Several ranges, or words we do not know, get the whole file (RFC 9110 14.2).
    """
    match = _RANGE.match(header)
    if not match or not (match[1] or match[2]):
        return 0, size
    if not match[1]:
        length = min(int(match[2]), size)
        return (size - length, size) if length else None
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    return (start, end) if start < end else None


async def _pieces(key: str, start: int, end: int) -> AsyncIterator[bytes]:
    pieces = local().chunks(key, start, end)
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
