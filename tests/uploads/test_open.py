"""`/uploads/open` and the routes for parts: sessions, keys, strangers, nonsense."""

import hashlib
import json
import uuid

import httpx
import pytest
from django.test import Client

from jobs.models import Upload
from jobs.services.files import uploads
from jobs.storage import LOCAL
from tests.factories import PNG, make_job, make_key, make_upload, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]
PRINT = "a" * 64


@pytest.fixture
def call(client):
    key = make_key()

    def send(method, path, body=None, **headers):
        return client.generic(
            method,
            path,
            b"" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}", **headers},
        )

    return send


def begin(call, size=10, **more):
    return call("POST", "/uploads/open", {"filename": "a", "size": size, **more})


def test_without_a_bucket_bytes_go_by_tus(call):
    opened = begin(call).json()
    assert (opened["method"], opened["status"]) == ("tus", "uploading")
    assert opened["url"] == f"/uploads/tus/{opened['id']}"


def test_with_one_they_go_in_parts(call, s3):
    opened = begin(call).json()
    assert (opened["method"], opened["part_count"]) == ("s3_multipart", 1)
    signed = call("POST", f"{opened['url']}/sign", {"numbers": [1]}).json()
    [part] = signed["parts"]
    assert httpx.put(part["url"], content=b"0123456789", trust_env=False).is_success
    assert call("GET", opened["url"]).json()["parts"] == [{"number": 1, "size": 10}]
    done = call("POST", f"{opened['url']}/complete", {})
    assert done.json()["status"] == "ready"


def test_the_unfinished_upload_of_a_file_is_found_again(call):
    first = begin(call, fingerprint=PRINT).json()
    assert begin(call, fingerprint=PRINT).json()["id"] == first["id"]
    assert begin(call, fingerprint="b" * 64).json()["id"] != first["id"]
    assert begin(call, size=11, fingerprint=PRINT).json()["id"] != first["id"]
    assert begin(call).json()["id"] != begin(call).json()["id"]


def test_nobody_finds_the_files_of_others(call):
    bob = make_user("bob")
    make_upload(PNG, owner=bob)
    Upload.objects.update(fingerprint=PRINT)
    uploads.open_upload(owner=bob, filename="x", size=len(PNG), fingerprint=PRINT)
    sha256 = hashlib.sha256(PNG).hexdigest()
    opened = begin(call, size=len(PNG), fingerprint=PRINT, sha256=sha256).json()
    assert "deduplicated" not in opened
    assert opened["received"] == 0


def test_a_file_that_may_be_here_is_worth_hashing_and_one_that_is_here_is_not_sent(
    call,
):
    upload = make_upload(PNG)
    Upload.objects.update(fingerprint=PRINT)
    size, sha256 = len(PNG), hashlib.sha256(PNG).hexdigest()
    assert begin(call, size=size, fingerprint=PRINT).json() == {"may_be_known": True}
    known = begin(call, size=size, fingerprint=PRINT, sha256=sha256).json()
    assert (known["id"], known["deduplicated"]) == (str(upload.pk), True)
    changed = begin(call, size=size, fingerprint=PRINT, sha256="0" * 64).json()
    assert changed["status"] == "uploading"


def test_a_file_that_expires_soon_is_sent_again(call):
    upload = make_upload(PNG)
    Upload.objects.update(expires_at=upload.created_at)
    sha256 = hashlib.sha256(PNG).hexdigest()
    assert begin(call, size=len(PNG), sha256=sha256).json()["status"] == "uploading"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filename": "a"},
        {"size": 5},
        {"filename": "a", "size": -1},
        {"filename": "a", "size": 2**53},
        {"filename": "a", "size": "5"},
        {"filename": "a", "size": True},
        {"filename": 5, "size": 5},
        {"filename": "a", "size": 5, "fingerprint": "x"},
        {"filename": "a", "size": 5, "sha256": 7},
        [],
        "text",
    ],
)
def test_nonsense_is_422_and_opens_nothing(call, body):
    answer = call("POST", "/uploads/open", body)
    assert answer.status_code == 422
    assert not Upload.objects.exists()


@pytest.mark.parametrize("numbers", [None, [], ["1"], [True], [0], [2], "1"])
def test_only_parts_of_the_file_are_signed(call, s3, numbers):
    opened = begin(call).json()
    answer = call("POST", f"{opened['url']}/sign", {"numbers": numbers})
    assert answer.status_code == 422


def test_b42_somebody_elses_upload_is_not_there(call, s3):
    foreign = uploads.open_upload(owner=make_user("bob"), filename="x", size=5)
    path = f"/uploads/s3/multipart/{foreign.pk}"
    assert call("GET", path).status_code == 404
    assert call("DELETE", path).status_code == 404
    assert call("POST", f"{path}/sign", {"numbers": [1]}).status_code == 404
    assert call("POST", f"{path}/complete", {}).status_code == 404
    missing = f"/uploads/s3/multipart/{uuid.uuid4()}"
    assert call("GET", missing).status_code == 404


def test_an_upload_that_a_job_needs_is_not_deleted(call, s3):
    opened = begin(call).json()
    job = make_job("IN_PROGRESS")
    job.uploads.add(Upload.objects.get())
    assert call("DELETE", opened["url"]).status_code == 409
    job.uploads.clear()
    assert call("DELETE", opened["url"]).status_code == 204
    assert not Upload.objects.exists()


def test_a_cookie_needs_a_csrf_token():
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user())
    body = json.dumps({"filename": "a", "size": 5})
    sent = {"data": body, "content_type": "application/json"}
    assert client.post("/uploads/open", **sent).status_code == 403
    token = "a" * 32
    client.cookies["slipway_csrf"] = token
    headers = {"X-CSRFToken": token}
    assert client.post("/uploads/open", **sent, headers=headers).status_code == 200


def test_strangers_are_401(client):
    answer = client.post("/uploads/open", b"{}", content_type="application/json")
    assert answer.status_code == 401


def test_a_client_of_parts_is_told_where_there_is_no_bucket(call):
    answer = call("POST", "/uploads/s3/multipart", {"filename": "a", "size": 5})
    assert (answer.status_code, answer.json()["code"]) == (409, "tus")
    upload = uploads.open_upload(owner=make_user(), filename="x", size=5, to=LOCAL)
    path = f"/uploads/s3/multipart/{upload.pk}"
    assert call("POST", f"{path}/sign", {"numbers": [1]}).status_code == 409


def test_a_full_quota_is_413(call, settings):
    settings.JOBS_USER_MAX_FILES = 1
    begin(call)
    assert begin(call).status_code == 413
