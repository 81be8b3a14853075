"""Downloads: ranges, expiry, and headers that keep a file from acting as a page."""

from datetime import timedelta

import httpx
import pytest

from jobs.lib import links
from jobs.models import Upload
from jobs.services.files import downloads
from jobs.storage import S3
from tests.factories import PNG, make_upload

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def get(client, upload, **headers):
    return client.get(downloads.upload_url(upload), headers=headers)


def body(answer):
    import asyncio  # noqa: PLC0415

    async def read():
        return b"".join([piece async for piece in answer.streaming_content])

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("header", "status", "start", "end"),
    [
        ("", 200, 0, len(PNG)),
        ("bytes=0-3", 206, 0, 4),
        ("bytes=10-", 206, 10, len(PNG)),
        ("bytes=-5", 206, len(PNG) - 5, len(PNG)),
        ("bytes=5-999999999", 206, 5, len(PNG)),
        ("bytes=1-2,4-5", 200, 0, len(PNG)),
        ("nonsense", 200, 0, len(PNG)),
    ],
)
def test_ranges(client, header, status, start, end):
    answer = get(client, make_upload(), **({"Range": header} if header else {}))
    assert answer.status_code == status
    assert body(answer) == PNG[start:end]
    assert answer["Content-Length"] == str(end - start)
    if status == 206:
        assert answer["Content-Range"] == f"bytes {start}-{end - 1}/{len(PNG)}"


@pytest.mark.parametrize("header", ["bytes=999999-", "bytes=5-2", "bytes=-0"])
def test_a_range_outside_the_file_is_416(client, header):
    answer = get(client, make_upload(), Range=header)
    assert answer.status_code == 416
    assert answer["Content-Range"] == f"bytes */{len(PNG)}"


def test_an_image_is_shown_and_everything_else_is_an_attachment(client):
    shown = get(client, make_upload())
    assert shown["Content-Disposition"].startswith("inline")
    page = b"<html><script>alert(1)</script></html>"
    kept = get(client, make_upload(page, name="x.html"))
    assert kept["Content-Disposition"].startswith("attachment")
    assert kept["Content-Type"] == "application/octet-stream"
    for answer in (shown, kept):
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_a_known_etag_is_304(client):
    upload = make_upload()
    answer = get(client, upload, **{"If-None-Match": f'"{upload.sha256}"'})
    assert answer.status_code == 304


def test_expired_altered_and_foreign_links_are_refused(client):
    upload = make_upload()
    value = f"upload.{upload.pk.hex}"
    old = links.sign(links.FILE, value, lives=timedelta(seconds=-1))
    assert client.get(f"/files/{old}").status_code == 403
    good = links.sign(links.FILE, value, lives=timedelta(hours=1))
    assert client.get(f"/files/{good[:-1]}x").status_code == 403
    other = links.sign(links.DOORBELL, value, lives=timedelta(hours=1))
    assert client.get(f"/files/{other}").status_code == 403


@pytest.mark.parametrize(
    "header",
    [
        "bytes=" + ",".join(f"{n}-{n}" for n in range(1000)),
        "bytes=" + "9" * 30 + "-",
        "bytes=--1",
        "bytes=1-x",
        "items=0-1",
        "bytes=" + "0-" * 100_000,
    ],
)
def test_b92_a_range_that_makes_no_sense_gets_the_whole_file_once(client, header):
    answer = get(client, make_upload(), Range=header)
    assert answer.status_code == 200
    assert body(answer) == PNG


@pytest.mark.parametrize(
    "path",
    [
        "/protected/in/a",
        "/protected/../db.sqlite3",
        "/protected/%2e%2e/db.sqlite3",
        "/protected/%252e%252e/db.sqlite3",
        "/files/../db.sqlite3",
        "/files/%2e%2e%2fdb.sqlite3",
    ],
)
def test_b90_there_is_no_other_way_to_a_file(client, path):
    assert client.get(path).status_code in {403, 404}


def test_b89_a_link_to_one_file_opens_no_other(client):
    one, other = make_upload(), make_upload(b"other")
    signed = downloads.upload_url(one)
    swapped = signed.replace(one.pk.hex, other.pk.hex)
    assert swapped != signed
    assert client.get(swapped).status_code == 403


def test_a_proxy_that_can_sends_the_file_with_our_headers(client, settings):
    settings.X_ACCEL_PREFIX = "/protected"
    upload = make_upload(b"<html><script>", name="a.html")
    answer = get(client, upload)
    assert answer["X-Accel-Redirect"] == f"/protected/{upload.key}"
    assert answer.content == b""
    assert "attachment" in answer["Content-Disposition"]
    assert "sandbox" in answer["Content-Security-Policy"]


def test_a_file_in_the_bucket_is_a_redirect_that_serves_it_safely(client, s3):
    upload = make_upload(b"<html><script>", name="a.html")
    Upload.objects.update(store=S3)
    s3.save(upload.key, [b"<html><script>"])
    answer = get(client, upload)
    assert answer.status_code == 302
    assert "no-store" in answer["Cache-Control"]
    served = httpx.get(answer["Location"], trust_env=False)
    assert served.content == b"<html><script>"
    assert served.headers["content-type"] == "application/octet-stream"
    assert served.headers["content-disposition"].startswith("attachment")


def test_a_bucket_that_is_away_is_told_and_is_no_crash(client, s3, settings):
    upload = make_upload()
    Upload.objects.update(store=S3)
    settings.S3_BUCKET = ""
    answer = get(client, upload)
    assert answer.status_code == 503


def test_a_deleted_file_is_404(client):
    upload = make_upload()
    url = downloads.upload_url(upload)
    upload.delete()
    assert client.get(url).status_code == 404
