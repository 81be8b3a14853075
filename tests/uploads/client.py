"""What tests send to the tus server."""

import asyncio
import base64
import hashlib

import httpx

TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


def create(call, size, **headers):
    answer = call(
        "POST", "/uploads/tus/", {**TUS, "Upload-Length": str(size), **headers}
    )
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def patch(call, url, offset, content, **headers):
    sent = {**PATCH, "Upload-Offset": str(offset), **headers}
    return call("PATCH", url, sent, content=content)


def offset_of(call, url):
    return call("HEAD", url, TUS).headers["Upload-Offset"]


def promise(body, algorithm="sha256"):
    digest = hashlib.new(algorithm, body).digest()
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}


def raw_patch(app, url, key, messages):
    """Send a PATCH whose client behaves as `messages` say; return what was answered."""
    sent = []
    scope = {
        "type": "http",
        "method": "PATCH",
        "path": httpx.URL(url).path,
        "query_string": b"",
        "headers": [
            (b"host", b"testserver"),
            (b"authorization", f"Bearer {key}".encode()),
            (b"tus-resumable", b"1.0.0"),
            (b"upload-offset", b"0"),
            (b"content-type", b"application/offset+octet-stream"),
        ],
    }

    async def receive():
        message = messages.pop(0)
        return await message if asyncio.iscoroutine(message) else message

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent
