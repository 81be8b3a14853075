"""tus 1.0.0, each MUST by its words; PATCH through the raw ASGI receiver."""

import asyncio
import base64
import hashlib

import pytest
from asgiref.sync import sync_to_async

from jobs.models import Lease, Upload
from jobs.services.files import uploads
from jobs.storage import local
from tests.factories import make_key, make_user
from tests.uploads.client import (
    TUS,
    create,
    offset_of,
    patch,
    raw_patch,
)

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


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
    foreign = uploads.open_upload(owner=make_user("bob"), filename="x", size=5)
    url = f"/uploads/tus/{foreign.pk}"
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
    Lease.release(f"verify-{large.pk.hex}", holder="other")
    uploads.verify(large)
    assert Upload.objects.get().status == "ready"
    assert not Lease.objects.exists()


def test_the_sweep_has_it_done_by_a_task_of_its_own(large, monkeypatch):
    sent = []
    monkeypatch.setattr("jobs.lib.nudge._send", lambda *call: sent.append(call))
    uploads.sweep()
    assert sent == [("jobs.verify_upload", str(large.pk))]
    assert Upload.objects.get().status == "verifying"
