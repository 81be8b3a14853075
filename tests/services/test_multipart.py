"""Uploads in parts to a real S3 server: what is missing, lost, doubled or wrong."""

import hashlib
import threading

import httpx
import pytest
from django.db import connection

from jobs.lib.errors import Conflict, InvalidInput, TooLarge
from jobs.models import Upload
from jobs.services.files import multipart, uploads
from jobs.storage import S3, NoSuchMultipart, StoreError, bucket
from tests.factories import make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]
MIB = 1024 * 1024
CONTENT = bytes(range(256)) * 4096 * 11  # 11 MiB: two parts of 5 and one of 1


@pytest.fixture(autouse=True)
def parts_of_five(settings):
    settings.JOBS_PART_MIN_BYTES = 5 * MIB


@pytest.fixture
def upload(s3):
    return uploads.open_upload(owner=make_user(), filename="a.bin", size=len(CONTENT))


def send(upload, *numbers, content=CONTENT):
    for link in multipart.links(upload, list(numbers)):
        start = (link.number - 1) * upload.part_size
        body = content[start : start + link.size]
        assert httpx.put(link.url, content=body, trust_env=False).status_code == 200


def test_parts_in_any_order_become_the_file_and_its_hash(upload):
    send(upload, 3, 1, 2)
    multipart.complete(upload)
    upload.refresh_from_db()
    assert (upload.status, upload.store, upload.received) == (
        "ready",
        S3,
        len(CONTENT),
    )
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert bucket().size(upload.key) == len(CONTENT)


def test_what_has_arrived_is_listed_so_that_a_client_can_go_on(upload):
    send(upload, 2)
    assert [part.number for part in multipart.arrived(upload)] == [2]
    upload.refresh_from_db()
    assert upload.received == 5 * MIB


def test_b54_missing_parts_are_named_and_nothing_is_lost(upload):
    send(upload, 2)
    with pytest.raises(Conflict, match=r"1, 3\. Send them"):
        multipart.complete(upload)
    upload.refresh_from_db()
    assert upload.status == "uploading"
    send(upload, 1, 3)
    multipart.complete(upload)
    assert upload.status == "ready"


@pytest.mark.parametrize("number", [1, 3])
def test_b54_a_part_of_another_size_is_missing(upload, number):
    """A bucket that does not check the signed length has taken it."""
    send(upload, *({1, 2, 3} - {number}))
    bucket().client.upload_part(
        Bucket=bucket().bucket,
        Key=upload.key,
        UploadId=upload.multipart_id,
        PartNumber=number,
        Body=b"short",
    )
    with pytest.raises(Conflict, match=f"{number}. Send"):
        multipart.complete(upload)


def test_b54_a_part_too_many_ends_an_upload_that_the_bucket_refuses(upload):
    send(upload, 1, 2, 3)
    bucket().client.upload_part(
        Bucket=bucket().bucket,
        Key=upload.key,
        UploadId=upload.multipart_id,
        PartNumber=4,
        Body=b"extra",
    )
    with pytest.raises(Conflict, match="refused the parts"):
        multipart.complete(upload)
    assert Upload.objects.get().status == "rejected"
    assert bucket().size(upload.key) == 0


def test_b54_the_bytes_of_another_upload_are_not_taken(upload):
    other = uploads.open_upload(owner=make_user(), filename="b", size=len(CONTENT))
    Upload.objects.filter(pk=upload.pk).update(multipart_id=other.multipart_id)
    upload.refresh_from_db()
    send(other, 1, 2, 3)
    with pytest.raises(Conflict):
        multipart.complete(upload)
    upload.refresh_from_db()
    assert upload.status == "rejected"


def test_b54_a_file_of_another_size_is_never_ready(upload):
    bucket().save(upload.key, [b"something else"])
    bucket().abort(upload.key, upload.multipart_id)
    with pytest.raises(Conflict, match="14 bytes, not"):
        multipart.complete(upload)
    assert bucket().size(upload.key) == 0


def test_b56_completing_twice_is_one_file(upload):
    send(upload, 1, 2, 3)
    multipart.complete(upload)
    multipart.complete(upload)
    multipart.complete(Upload.objects.get())
    assert upload.status == "ready"


def test_b56_completing_at_once_is_one_file(upload):
    send(upload, 1, 2, 3)
    met = []

    def complete():
        mine = Upload.objects.get()
        try:
            multipart.complete(mine)
            met.append(mine.is_whole)
        except Exception as error:  # noqa: BLE001 - whatever it is, it fails the test
            met.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=complete) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == [True] * 4
    assert Upload.objects.get().status == "ready"


def test_f66_a_completion_whose_answer_was_lost_is_found(upload, monkeypatch):
    send(upload, 1, 2, 3)
    store = bucket()
    whole = type(store).complete

    def cut(self, *arguments):
        whole(self, *arguments)
        raise StoreError("The bucket cannot be reached.")

    with monkeypatch.context() as broken:
        broken.setattr(type(store), "complete", cut)
        with pytest.raises(StoreError):
            multipart.complete(upload)
    assert Upload.objects.get().status == "uploading"
    multipart.complete(Upload.objects.get())
    assert Upload.objects.get().status == "ready"


def test_f66_also_by_whoever_only_asks_for_the_parts(upload):
    send(upload, 1, 2, 3)
    store = bucket()
    store.complete(
        upload.key, upload.multipart_id, store.parts(upload.key, upload.multipart_id)
    )
    assert multipart.arrived(upload) == []
    assert Upload.objects.get().status == "ready"


def test_what_arrives_must_be_what_was_promised(s3):
    promise = hashlib.sha256(b"something else").hexdigest()
    upload = uploads.open_upload(
        owner=make_user(), filename="a", size=len(CONTENT), sha256=promise
    )
    send(upload, 1, 2, 3)
    with pytest.raises(Conflict, match="SHA-256"):
        multipart.complete(upload)
    assert Upload.objects.get().status == "rejected"
    assert bucket().size(upload.key) == 0


@pytest.mark.parametrize("numbers", [[], [0], [4], [-1], list(range(1, 102))])
def test_only_parts_of_the_file_are_signed(upload, numbers):
    with pytest.raises(InvalidInput):
        multipart.links(upload, numbers)


def test_a_deleted_upload_leaves_nothing_in_the_bucket(upload):
    send(upload, 1)
    key, id = upload.key, upload.multipart_id
    uploads.delete(upload)
    with pytest.raises(NoSuchMultipart):
        bucket().parts(key, id)


def test_expired_uploads_are_aborted(upload):
    Upload.objects.update(expires_at=upload.created_at)
    uploads.sweep()
    assert not Upload.objects.exists()
    with pytest.raises(NoSuchMultipart):
        bucket().parts(upload.key, upload.multipart_id)


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (1, 16 * MIB),
        (100 * 1024 * MIB, 16 * MIB),
        (50 * 1024**3 * 4, 23 * MIB),
        (5 * 1024**4, 583 * MIB),
    ],
)
def test_parts_grow_with_the_file_and_stay_under_ten_thousand(settings, size, part):
    del settings.JOBS_PART_MIN_BYTES
    assert uploads.part_size(size) == part
    assert -(-size // part) <= 10_000


def test_limits_hold_for_a_user(s3, settings):
    settings.JOBS_USER_OPEN_UPLOADS = 1
    owner = make_user()
    uploads.open_upload(owner=owner, filename="a", size=5)
    with pytest.raises(TooLarge, match="unfinished"):
        uploads.open_upload(owner=owner, filename="b", size=5)
    uploads.open_upload(owner=make_user("bob"), filename="b", size=5)
