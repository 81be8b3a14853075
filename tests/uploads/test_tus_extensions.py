"""tus extensions: checksum and creation-with-upload."""

import hashlib

import pytest

from jobs.models import Upload
from jobs.services.files import uploads
from jobs.storage import local
from tests.uploads.client import PATCH, create, offset_of, patch, promise

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


# --- checksum -----------------------------------------------------------------------------
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
