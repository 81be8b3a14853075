"""Uploads that make no sense, lie, or harm: rows B33 to B53 of the list of bad inputs."""

import asyncio
import base64
import hashlib

import httpx
import pytest

from jobs.models import Upload
from jobs.services.files import downloads, uploads
from jobs.services.lifecycle.inputs import upload_problem
from jobs.storage import local
from tests.factories import PNG, make_key
from tests.uploads.client import (
    PATCH,
    TUS,
    create,
    offset_of,
    patch,
    raw_patch,
)

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


# --- bad input ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "headers",
    [
        {"Upload-Defer-Length": "1"},
        {"Upload-Defer-Length": "0"},
        {"Upload-Defer-Length": "2"},
        {"Upload-Defer-Length": "1", "Upload-Length": "5"},
        {},
        {"Upload-Length": "5", "Upload-Concat": "partial"},
        {"Upload-Length": "5", "Upload-Metadata": "sha256 YWJj"},
        {"Upload-Length": "5", "Upload-Metadata": "filename " + "A" * 100_000 + "!"},
    ],
)
def test_b34_b43_a_creation_that_makes_no_sense_is_400(call, headers):
    assert call("POST", "/uploads/tus/", TUS | headers).status_code == 400
    assert not Upload.objects.exists()


def test_b33_a_user_over_the_quota_is_413(call, settings):
    settings.JOBS_USER_MAX_BYTES = 100
    create(call, 60)
    answer = call("POST", "/uploads/tus/", {**TUS, "Upload-Length": "41"})
    assert answer.status_code == 413
    assert "limit" in answer.text
    create(call, 40)


@pytest.mark.parametrize("state", ["finished", "rejected", "deleted", "expired"])
def test_b37_an_upload_that_is_over_takes_nothing(call, state):
    url = create(call, 5)
    upload = Upload.objects.get()
    if state == "finished":
        patch(call, url, 0, b"hello")
    elif state == "rejected":
        uploads.reject(upload, "It is no video.")
    elif state == "deleted":
        uploads.delete(upload)
    else:
        Upload.objects.update(expires_at=upload.created_at)
        uploads.sweep()
    expected = {"finished": 403, "rejected": 410, "deleted": 404, "expired": 404}
    assert patch(call, url, 0, b"x").status_code == expected[state]


def test_b40_an_upload_whose_body_was_cut_is_never_complete(app, call):
    url = create(call, 10)
    messages = [
        {"type": "http.request", "body": b"12345", "more_body": True},
        {"type": "http.disconnect"},
    ]
    raw_patch(app, url, make_key(), messages)
    assert Upload.objects.get().status == "uploading"
    assert offset_of(call, url) == "5"


def test_b41_an_empty_file_is_stored_and_no_job_takes_it(call):
    create(call, 0)
    upload = Upload.objects.get()
    assert (upload.status, upload.size) == ("ready", 0)
    assert "empty" in upload_problem(upload, [])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\r\nSet-Cookie: x=1.mp4", "aSet-Cookie: x=1.mp4"),
        ('a";filename="b.exe', 'a";filename="b.exe'),
        ("a\0b.mp4", "ab.mp4"),
        ("\u202ecod.exe", "cod.exe"),
        ("a\u200bb.mp4", "ab.mp4"),
        ("dots...", "dots"),
        ("-rf", "-rf"),
        ("CON", "CON"),
        ("%2e%2e%2fpasswd", "%2e%2e%2fpasswd"),
        ("....//....//x", "x"),
        ("C:\\x.mp4", "x.mp4"),
        ("/abs", "abs"),
        ("", "file"),
        ("<img onerror=alert(1)>.png", "<img onerror=alert(1)>.png"),
    ],
)
def test_b44_b46_names_are_cleaned_and_the_header_stays_one_header(call, name, shown):
    encoded = base64.b64encode(name.encode()).decode()
    create(call, 1, **{"Upload-Metadata": f"filename {encoded}"})
    upload = Upload.objects.get()
    assert upload.filename == shown
    patch(call, f"/uploads/tus/{upload.pk}", 0, b"x")
    answer = call("GET", downloads.upload_url(upload), {})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    disposition = answer.headers["Content-Disposition"]
    assert "\r" not in disposition
    assert ';filename="b.exe"' not in disposition.replace('\\"', "")


BOMB = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (50_000).to_bytes(4) * 2 + bytes(100)
GIF_BOMB = b"GIF89a" + (60_000).to_bytes(2, "little") * 2 + bytes(100)


@pytest.mark.parametrize("content", [BOMB, GIF_BOMB])
def test_b49_an_image_of_too_many_pixels_is_refused_by_its_header(call, content):
    url = create(call, len(content))
    assert patch(call, url, 0, content).status_code == 204
    upload = Upload.objects.get()
    assert upload.status == "rejected"
    assert "million pixels" in upload.problem
    assert local().size(upload.key) == 0
    assert call("HEAD", url, TUS).status_code == 410


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (PNG, "ready"),
        (b"<html><script>", "rejected"),
        (b"\x7fELF" + bytes(99), "rejected"),
    ],
)
def test_b47_only_types_that_are_allowed_here_by_their_content(
    call, settings, content, status
):
    settings.JOBS_UPLOAD_TYPES = ["video/*", "image/png"]
    name = base64.b64encode(b"holiday.mp4").decode()
    url = create(call, len(content), **{"Upload-Metadata": f"filename {name}"})
    patch(call, url, 0, content)
    assert Upload.objects.get().status == status


def test_b53_of_two_writers_at_the_same_offset_one_wins(app, call):
    url = create(call, 2_000_000)
    key, path = make_key(), httpx.URL(url).path

    async def both():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://testserver"
        ) as client:
            headers = PATCH | {"Upload-Offset": "0", "Authorization": f"Bearer {key}"}
            one, two = (
                client.patch(path, headers=headers, content=letter * 2_000_000)
                for letter in (b"a", b"b")
            )
            return await asyncio.gather(one, two)

    statuses = sorted(answer.status_code for answer in asyncio.run(both()))
    upload = Upload.objects.get()
    content = b"".join(local().chunks(upload.key, 0, 2_000_000))
    assert statuses[0] == 204
    assert statuses[1] in {403, 409, 423}
    assert content in {b"a" * 2_000_000, b"b" * 2_000_000}
    assert upload.sha256 == hashlib.sha256(content).hexdigest()
