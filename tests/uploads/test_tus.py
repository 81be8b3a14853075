"""tus 1.0.0, each MUST by its words; PATCH through the raw ASGI receiver."""

import asyncio
import base64
import hashlib

import httpx
import pytest
from asgiref.sync import sync_to_async

from jobs.models import Lease, Upload
from jobs.services import downloads, uploads
from jobs.services.inputs import upload_problem
from jobs.storage import local
from tests.factories import PNG, make_key, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]
TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def app():
    from webapp.asgi import application  # noqa: PLC0415 - sets Django up

    return application


@pytest.fixture
def call(app):
    """Send one request to the ASGI application."""
    key = make_key()

    def send(method, url, headers=None, **kwargs):
        async def go():
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://testserver"
            ) as client:
                merged = {"Authorization": f"Bearer {key}", **(headers or {})}
                return await client.request(method, url, headers=merged, **kwargs)

        return asyncio.run(go())

    return send


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


def test_creation_answers_201_and_sets_location(call):
    assert create(call, 10).startswith("http://testserver/uploads/tus/")


def test_options_describe_the_server(call):
    answer = call("OPTIONS", "/uploads/tus/")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert "creation" in answer.headers["Tus-Extension"]


@pytest.mark.parametrize("version", [None, "0.2.2", "2.0.0"])
def test_an_unsupported_version_is_412_with_tus_version_and_changes_nothing(
    call, version
):
    headers = {"Upload-Length": "5"} | ({"Tus-Resumable": version} if version else {})
    answer = call("POST", "/uploads/tus/", headers)
    assert answer.status_code == 412
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert not Upload.objects.exists()


@pytest.mark.parametrize(
    "length", ["-1", "", "1.5", "1e3", str(2**63), str(2**64), "٣"]
)
def test_upload_length_must_be_a_non_negative_integer(call, length):
    headers = {**TUS, "Upload-Length": length.encode()}
    assert call("POST", "/uploads/tus/", headers).status_code == 400


def test_a_file_over_the_limit_is_413(call, settings):
    settings.JOBS_UPLOAD_MAX_BYTES = 100
    headers = {**TUS, "Upload-Length": "101"}
    assert call("POST", "/uploads/tus/", headers).status_code == 413


def test_a_file_that_does_not_fit_on_the_disk_is_507(call, settings):
    settings.JOBS_DISK_RESERVE_BYTES = 2**60
    headers = {**TUS, "Upload-Length": "101"}
    assert call("POST", "/uploads/tus/", headers).status_code == 507


def test_head_always_says_the_offset_and_is_never_cached(call):
    url = create(call, 10)
    answer = call("HEAD", url, TUS)
    assert answer.headers["Upload-Offset"] == "0"
    assert answer.headers["Upload-Length"] == "10"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Tus-Resumable"] == "1.0.0"


def test_patches_add_up_to_the_file_and_its_hash(call):
    url = create(call, 11)
    assert patch(call, url, 0, b"hello ").headers["Upload-Offset"] == "6"
    answer = patch(call, url, 6, b"world")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, "11")
    upload = Upload.objects.get()
    assert upload.status == "ready"
    assert upload.sha256 == hashlib.sha256(b"hello world").hexdigest()
    assert offset_of(call, url) == "11"


@pytest.mark.parametrize("offset", ["3", "7"])
def test_another_offset_is_409_and_changes_nothing(call, offset):
    url = create(call, 11)
    patch(call, url, 0, b"hello ")
    assert patch(call, url, offset, b"xxxx").status_code == 409
    assert offset_of(call, url) == "6"


@pytest.mark.parametrize("offset", ["-1", "", "abc"])
def test_an_offset_that_is_no_number_is_400(call, offset):
    url = create(call, 11)
    assert patch(call, url, offset, b"x").status_code == 400


def test_any_other_content_type_is_415(call):
    url = create(call, 4)
    answer = call(
        "PATCH",
        url,
        {**TUS, "Upload-Offset": "0", "Content-Type": "video/mp4"},
        content=b"x",
    )
    assert answer.status_code == 415


def test_more_bytes_than_declared_are_413_and_the_file_stays_whole(call):
    url = create(call, 4)
    assert patch(call, url, 0, b"12345").status_code == 413
    assert offset_of(call, url) == "0"

    async def chunks():
        yield b"12345"

    assert patch(call, url, 0, chunks()).status_code == 413
    assert b"".join(local().chunks(Upload.objects.get().key, 0, 9)) == b"1234"


def test_a_finished_upload_takes_no_more(call):
    url = create(call, 2)
    patch(call, url, 0, b"ab")
    assert patch(call, url, 2, b"c").status_code == 403


def test_delete_answers_204_and_the_upload_is_gone(call):
    url = create(call, 5)
    patch(call, url, 0, b"ab")
    key = Upload.objects.get().key
    assert call("DELETE", url, TUS).status_code == 204
    assert call("HEAD", url, TUS).status_code == 404
    assert local().size(key) == 0


def test_an_upload_of_somebody_else_is_404(call):
    theirs = uploads.open_upload(owner=make_user("bob"), filename="x", size=5)
    url = f"/uploads/tus/{theirs.pk}"
    assert call("HEAD", url, TUS).status_code == 404
    assert call("DELETE", url, TUS).status_code == 404
    assert patch(call, url, 0, b"x").status_code == 404


def test_without_a_key_nothing_is_taken(call):
    url = create(call, 5)
    for key in ("", "Bearer nope"):
        assert patch(call, url, 0, b"x", Authorization=key).status_code == 401


def test_a_key_without_the_scope_is_403(call):
    key = make_key(scopes=["jobs:read"])
    headers = {**TUS, "Upload-Length": "5", "Authorization": f"Bearer {key}"}
    assert call("POST", "/uploads/tus/", headers).status_code == 403


def test_a_cookie_needs_a_csrf_token(client, call, app):
    client.force_login(make_user())
    cookie = f"slipway_session={client.cookies['slipway_session'].value}"
    headers = {**TUS, "Upload-Length": "5", "Authorization": "", "Cookie": cookie}
    assert call("POST", "/uploads/tus/", headers).status_code == 403
    token = "a" * 32
    both = f"{cookie}; slipway_csrf={token}"
    headers |= {"Cookie": both, "X-CSRFToken": token}
    answer = call("POST", "/uploads/tus/", headers)
    assert answer.status_code == 201
    url = answer.headers["Location"]
    assert patch(call, url, 0, b"x", Authorization="", Cookie=cookie).status_code == 403
    sent = {"Authorization": "", "Cookie": both, "X-CSRFToken": token}
    assert patch(call, url, 0, b"x", **sent).status_code == 204


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\\b.mp4", "\u202egpj.exe", "x" * 400]
)
def test_names_are_shown_and_never_used_as_paths(call, name):
    encoded = base64.b64encode(name.encode()).decode()
    create(call, 5, **{"Upload-Metadata": f"filename {encoded}"})
    shown = Upload.objects.get().filename
    assert "/" not in shown
    assert "\\" not in shown
    assert shown.isprintable()
    assert len(shown.encode()) <= 255


@pytest.mark.parametrize("metadata", ["filename !!!", "a YQ==,a YQ==", ",a YQ=="])
def test_broken_metadata_is_400(call, metadata):
    headers = {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata}
    assert call("POST", "/uploads/tus/", headers).status_code == 400


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


def test_every_byte_before_a_broken_connection_is_kept(app, call):
    url = create(call, 3_000_000)
    messages = [
        {"type": "http.request", "body": b"a" * 1_500_000, "more_body": True},
        {"type": "http.request", "body": b"b" * 100_000, "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert raw_patch(app, url, make_key(), messages) == []
    assert offset_of(call, url) == "1600000"


def test_a_stalled_writer_gives_way_to_whoever_asks(app, call, settings):
    url = create(call, 100)
    upload = Upload.objects.get()

    async def stall():
        await sync_to_async(uploads.take_over)(upload)
        await asyncio.sleep(30)

    messages = [
        {"type": "http.request", "body": b"a" * 40, "more_body": True},
        stall(),
        asyncio.sleep(30, {"type": "http.disconnect"}),
        asyncio.sleep(30, {"type": "http.disconnect"}),
    ]
    [start, _] = raw_patch(app, url, make_key(), messages)
    for left in messages:
        left.close()
    assert start["status"] == 423
    assert patch(call, url, 40, b"b" * 60).status_code == 204


def test_a_full_disk_is_507_and_the_upload_goes_on_later(call, monkeypatch):
    import errno  # noqa: PLC0415
    import os  # noqa: PLC0415

    url = create(call, 10)
    patch(call, url, 0, b"12345")
    with monkeypatch.context() as full:
        real = os.writev

        def write(descriptor, buffers):
            if buffers == (b"67890",):
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, buffers)

        full.setattr("jobs.storage.disk.os.writev", write)
        assert patch(call, url, 5, b"67890").status_code == 507
    assert offset_of(call, url) == "5"
    assert patch(call, url, 5, b"67890").status_code == 204


def test_an_upload_whose_server_died_after_the_last_byte_is_finished_by_the_sweep():
    upload = uploads.open_upload(owner=make_user(), filename="x", size=3)
    with local().writer(upload.key, 0) as writer:
        writer.write(b"abc")
    uploads.sweep()
    upload.refresh_from_db()
    assert upload.status == "ready"


def test_unfinished_uploads_expire():
    upload = uploads.open_upload(owner=make_user(), filename="x", size=3)
    Upload.objects.update(expires_at=upload.created_at)
    uploads.sweep()
    assert not Upload.objects.exists()


# --- checksum -----------------------------------------------------------------------------
def promise(body, algorithm="sha256"):
    digest = hashlib.new(algorithm, body).digest()
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_a_chunk_with_the_right_checksum_is_taken(call, algorithm):
    url = create(call, 11)
    answer = patch(call, url, 0, b"hello ", **promise(b"hello ", algorithm))
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, "6")
    patch(call, url, 6, b"world", **promise(b"world", algorithm))
    assert Upload.objects.get().status == "ready"


def test_b39_a_wrong_checksum_is_460_and_the_chunk_is_discarded(call):
    url = create(call, 11)
    patch(call, url, 0, b"hello ")
    assert patch(call, url, 6, b"world", **promise(b"wOrld")).status_code == 460
    assert offset_of(call, url) == "6"
    assert Upload.objects.get().status == "uploading"
    assert patch(call, url, 6, b"world", **promise(b"world")).status_code == 204
    assert Upload.objects.get().sha256 == hashlib.sha256(b"hello world").hexdigest()


@pytest.mark.parametrize(
    "header", ["md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha256", "sha256 !!!", "sha1 YWJj"]
)
def test_b39_an_unknown_or_broken_checksum_is_400_and_changes_nothing(call, header):
    url = create(call, 5)
    answer = patch(call, url, 0, b"hello", **{"Upload-Checksum": header})
    assert answer.status_code == 400
    assert offset_of(call, url) == "0"


def test_options_name_the_checksums(call):
    answer = call("OPTIONS", "/uploads/tus/")
    assert "sha1" in answer.headers["Tus-Checksum-Algorithm"].split(",")
    assert "checksum" in answer.headers["Tus-Extension"].split(",")


def test_bytes_that_came_with_a_checksum_count_only_once_it_was_compared(call):
    """As a process leaves them that was killed in the middle of such a chunk."""
    url = create(call, 10)
    patch(call, url, 0, b"good")
    upload = Upload.objects.get()
    with local().writer(upload.key, 4) as writer:
        writer.write(b"badbad")
    uploads.note_unchecked(upload, 4)
    uploads.sweep()
    assert offset_of(call, url) == "4"
    assert patch(call, url, 4, b"better").status_code == 204
    assert b"".join(local().chunks(upload.key, 0, 10)) == b"goodbetter"


# --- creation-with-upload -----------------------------------------------------------------
def test_the_first_bytes_may_come_with_the_creation(call):
    headers = {**PATCH, "Upload-Length": "11"}
    answer = call("POST", "/uploads/tus/", headers, content=b"hello ")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "6")
    assert patch(call, answer.headers["Location"], 6, b"world").status_code == 204
    assert Upload.objects.get().status == "ready"


def test_or_all_of_them(call):
    headers = {**PATCH, "Upload-Length": "5", **promise(b"hello")}
    answer = call("POST", "/uploads/tus/", headers, content=b"hello")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "5")
    assert Upload.objects.get().status == "ready"


def test_but_never_more_than_were_declared(call):
    headers = {**PATCH, "Upload-Length": "4"}
    assert call("POST", "/uploads/tus/", headers, content=b"hello").status_code == 413


def test_a_creation_with_bytes_from_nobody_is_401(call):
    headers = {**PATCH, "Upload-Length": "4", "Authorization": ""}
    assert call("POST", "/uploads/tus/", headers, content=b"abcd").status_code == 401
    assert not Upload.objects.exists()


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


# --- large files are verified in the background --------------------------------------------
@pytest.fixture
def large(settings):
    settings.JOBS_VERIFY_INLINE_BYTES = 10
    upload = uploads.open_upload(owner=make_user(), filename="x", size=11)
    local().save(upload.key, [b"hello world"])
    uploads.finish_if_whole(upload)
    assert upload.status == "verifying"
    return upload


def test_a_large_file_is_hashed_by_one_process_at_a_time(large):
    other = Lease.take(f"verify-{large.pk.hex}", holder="other", seconds=30)
    assert other
    uploads.verify(large)
    assert Upload.objects.get().status == "verifying"
    Lease.give_back(f"verify-{large.pk.hex}", holder="other")
    uploads.verify(large)
    assert Upload.objects.get().status == "ready"
    assert not Lease.objects.exists()


def test_the_sweep_has_it_done_by_a_task_of_its_own(large, monkeypatch):
    sent = []
    monkeypatch.setattr("jobs.nudge._send", lambda *call: sent.append(call))
    uploads.sweep()
    assert sent == [("jobs.verify_upload", str(large.pk))]
    assert Upload.objects.get().status == "verifying"
