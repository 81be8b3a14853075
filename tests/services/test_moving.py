"""Files move between disk and bucket, whole or not at all."""

import hashlib

import pytest
from django.core.management import CommandError, call_command

from jobs.models import Artifact, Upload
from jobs.services.files import artifacts, moving
from jobs.storage import LOCAL, S3, StoreError, bucket, local
from tests.factories import make_job, make_upload

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def result(status="COMPLETED", key="out/a", content=b"result"):
    job = make_job(status)
    local().save(key, [content])
    artifacts.keep(
        job.attempts.get(),
        name="a.txt",
        content_type="text/plain",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        key=key,
    )
    return job


def test_files_go_to_the_bucket_and_back(s3):
    upload = make_upload()
    result()
    call_command("move_storage", to=S3, verbosity=0)
    upload.refresh_from_db()
    assert (upload.store, Artifact.objects.get().store) == (S3, S3)
    assert (bucket().size(upload.key), bucket().size("out/a")) == (upload.size, 6)
    assert (local().size(upload.key), local().size("out/a")) == (0, 0)
    call_command("move_storage", to=LOCAL, verbosity=0)
    upload.refresh_from_db()
    assert (upload.store, Artifact.objects.get().store) == (LOCAL, LOCAL)
    assert (bucket().size(upload.key), local().size("out/a")) == (0, 6)


def test_a_dry_run_only_counts(s3, capsys):
    make_upload(b"x" * 1000)
    call_command("move_storage", "--dry-run", to=S3)
    assert "1 files" in capsys.readouterr().out
    assert Upload.objects.get().store == LOCAL


def test_what_is_in_use_stays(s3):
    result("FINALIZING")
    make_job("IN_PROGRESS").uploads.add(upload := make_upload())
    Upload.objects.update(store=S3)
    bucket().save(upload.key, [b"x" * upload.size])
    assert list(moving.move(LOCAL)) == []
    assert list(moving.move(S3)) == []


def test_a_run_that_died_after_the_row_leaves_no_second_copy(s3):
    upload = make_upload()
    bucket().save(upload.key, local().chunks(upload.key, 0, upload.size))
    Upload.objects.update(store=S3)
    assert list(moving.move(S3)) == []
    assert (local().size(upload.key), bucket().size(upload.key)) == (0, upload.size)


def test_a_run_that_dies_while_copying_goes_on(s3, monkeypatch):
    upload = make_upload()

    def die(self, key, pieces):
        raise StoreError("The bucket cannot be reached.")

    with monkeypatch.context() as broken:
        broken.setattr(type(bucket()), "save", die)
        with pytest.raises(CommandError, match="again to go on"):
            call_command("move_storage", to=S3, verbosity=0)
    assert local().size(upload.key) == upload.size
    assert [moved.problem for moved in moving.move(S3)] == [""]


def test_a_damaged_file_is_told_and_stays(s3):
    upload = make_upload(b"right")
    local().save(upload.key, [b"wrong"])
    with pytest.raises(CommandError, match="1 files were not moved"):
        call_command("move_storage", to=S3, verbosity=0)
    assert Upload.objects.get().store == LOCAL
    assert bucket().size(upload.key) == 0
