"""What is deleted when, what stays, and that a crash in between loses nothing."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.lib.errors import Conflict
from jobs.models import Artifact, Job, JobEvent, Upload
from jobs.services.files import artifacts, uploads
from jobs.services.lifecycle import retention
from jobs.storage import StoreError, bucket, local
from tests.factories import make_endpoint, make_job, make_upload

pytestmark = [pytest.mark.db, pytest.mark.django_db]
DAY = timedelta(days=1)


def ended(status="COMPLETED", days=0, *, upload=None, **fields):
    job = make_job(status, finished_at=now() - days * DAY, **fields)
    job.events.create(new_status=status, actor="sync")
    if upload:
        job.uploads.add(upload)
        Upload.objects.filter(pk=upload.pk).update(expires_at=None)
    return job


def stored(job, key, store=None):
    attempt = job.attempts.get()
    (store or local()).save(key, [b"result"])
    artifacts.keep(
        attempt, name=key[-1], content_type="text/plain", size=6, sha256="", key=key
    )
    Artifact.objects.filter(key=key).update(store=(store or local()).name)


@pytest.mark.parametrize(
    ("status", "days", "is_left"),
    [
        ("COMPLETED", 29, True),
        ("COMPLETED", 31, False),
        ("FAILED", 9, True),
        ("FAILED", 11, False),
        ("CANCELLED", 11, False),
        ("TIMED_OUT", 11, False),
    ],
)
def test_a_job_goes_when_its_time_is_over(settings, status, days, is_left):
    settings.JOBS_KEEP_FAILED_DAYS = 10
    job = ended(status, days)
    retention.sweep()
    assert Job.objects.filter(pk=job.pk).exists() == is_left


def test_its_files_and_rows_go_with_it(s3):
    job = ended(days=31)
    stored(job, "out/a")
    stored(job, "out/b", bucket())
    retention.sweep()
    assert (local().size("out/a"), bucket().size("out/b")) == (0, 0)
    assert not JobEvent.objects.exists()
    assert not Artifact.objects.exists()


def test_an_endpoint_may_have_its_own_times(settings):
    short = make_endpoint("short", keep_results_days=1)
    forever = make_endpoint("forever", keep_results_days=0)
    gone, kept = ended(days=2, endpoint=short), ended(days=999, endpoint=forever)
    retention.sweep()
    assert list(Job.objects.all()) == [kept]
    assert retention.until(kept) is None
    assert retention.until(gone) == gone.finished_at + DAY


def test_a_kept_job_stays_with_its_input():
    upload = make_upload()
    job = ended(days=99, upload=upload)
    retention.keep(job, is_kept=True)
    retention.sweep()
    uploads.sweep()
    assert Job.objects.filter(pk=job.pk).exists()
    assert local().size(upload.key) == upload.size
    retention.keep(job, is_kept=False)
    retention.sweep()
    assert not Job.objects.filter(pk=job.pk).exists()


def test_input_files_go_earlier_than_results():
    upload = make_upload()
    job = ended(days=8, upload=upload)
    assert retention.inputs_until(job) == job.finished_at + 7 * DAY
    retention.sweep()
    uploads.sweep()
    assert Job.objects.filter(pk=job.pk).exists()
    assert local().size(upload.key) == 0
    assert not Upload.objects.exists()


@pytest.mark.parametrize("other", ["IN_PROGRESS", "COMPLETED"])
def test_an_input_file_stays_while_another_job_needs_it(other):
    upload = make_upload()
    old = ended(days=99, upload=upload)
    if other == "COMPLETED":
        ended(days=1, upload=upload)
    else:
        make_job(other).uploads.add(upload)
    retention.sweep()
    uploads.sweep()
    assert not Job.objects.filter(pk=old.pk).exists()
    assert Upload.objects.filter(pk=upload.pk, expires_at=None).exists()


def test_an_input_file_goes_with_the_last_job_that_used_it(settings):
    settings.JOBS_KEEP_INPUTS_DAYS = 0
    upload = make_upload()
    ended(days=31, upload=upload)
    retention.sweep()
    uploads.sweep()
    assert not Upload.objects.exists()


def test_running_jobs_are_never_deleted():
    job = make_job("IN_PROGRESS", created_at=now() - 999 * DAY)
    retention.sweep()
    assert Job.objects.filter(pk=job.pk).exists()
    with pytest.raises(Conflict):
        retention.delete_now(job)


def test_a_deleted_job_is_gone_for_everybody_at_once():
    job = ended()
    retention.delete_now(job)
    assert not Job.objects.visible_to(job.owner).exists()
    with pytest.raises(Conflict):
        retention.keep(job, is_kept=True)
    retention.sweep()
    assert not Job.objects.exists()


def test_a_sweep_that_dies_in_the_middle_is_continued(monkeypatch):
    job = ended(days=31)
    stored(job, "out/a")
    stored(job, "out/b")
    real = local().__class__.delete

    def die(self, key):
        if key.endswith("b"):
            raise StoreError("the disk is away")
        real(self, key)

    with monkeypatch.context() as broken:
        broken.setattr(local().__class__, "delete", die)
        retention.sweep()
    assert not Job.objects.visible_to(job.owner).exists()
    assert [a.key for a in Artifact.objects.all()] == ["out/b"]
    retention.sweep()
    assert local().size("out/b") == 0
    assert not Job.objects.exists()
