"""What a worker delivers to a bucket, compared before the job ends."""

import hashlib

import httpx
import pytest

from jobs.lib.errors import Conflict, InvalidInput, NotFound, TooLarge
from jobs.models import Alert, Artifact, Job
from jobs.services.files import artifacts
from jobs.services.lifecycle import attempts, completion
from jobs.services.operations import endpoints
from jobs.storage import LOCAL, S3, StoreError, bucket
from tests.factories import make_endpoint, make_job

pytestmark = [pytest.mark.db, pytest.mark.django_db]
MIB = 1024 * 1024
CONTENT = bytes(range(256)) * 4096 * 7  # 7 MiB


@pytest.fixture(autouse=True)
def parts_of_five(settings):
    settings.JOBS_PART_MIN_BYTES = 5 * MIB


@pytest.fixture
def attempt(s3):
    endpoint = make_endpoint(contract="slipway")
    return make_job("IN_PROGRESS", endpoint=endpoint).attempts.get()


def put(url, content, headers=None):
    return httpx.put(url, content=content, headers=headers, trust_env=False)


def send(attempt, content=CONTENT, name="out.bin"):
    """Deliver a file as our handler does."""
    way = artifacts.open_output(attempt, name, "video/mp4", len(content))
    if way["method"] == "PUT":
        assert put(way["url"], content, way["headers"]).is_success
        return
    step = way["part_size"]
    numbers = list(range(1, -(-len(content) // step) + 1))
    for part in artifacts.part_links(attempt, name, numbers):
        start = (part["number"] - 1) * step
        assert put(part["url"], content[start : start + part["size"]]).is_success


def finish(attempt, content=CONTENT, name="out.bin", **line):
    file = {
        "name": name,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **line,
    }
    manifest = {"schema": 1, "files": [file], "output": {"n": 1}, "error": None}
    attempts.finish(attempt, manifest)
    job = Job.objects.select_related("endpoint").get()
    assert job.status == "FINALIZING"  # the loop never waits for a bucket
    completion.fetch(job)
    job.refresh_from_db()
    return job


@pytest.mark.parametrize("content", [b"small", CONTENT])
def test_a_file_that_is_what_the_worker_says_completes_the_job(attempt, content):
    send(attempt, content)
    job = finish(attempt, content)
    assert (job.status, job.output) == ("COMPLETED", {"n": 1})
    [artifact] = completion.of_job(job)
    assert (artifact.store, artifact.multipart_id) == (S3, "")
    assert artifact.sha256 == hashlib.sha256(content).hexdigest()
    assert bucket().size(artifact.key) == len(content)


@pytest.mark.parametrize(
    "line", [{"size": 8}, {"sha256": "0" * 64}, {"name": "other.bin"}]
)
def test_a_file_that_is_another_fails_the_job(attempt, line):
    send(attempt)
    job = finish(attempt, **line)
    assert (job.status, job.error_code) == ("FAILED", "bad_manifest")


def test_a_file_that_never_came_fails_the_job(attempt):
    artifacts.open_output(attempt, "out.bin", "video/mp4", 5)
    job = finish(attempt, b"small")
    assert (job.status, job.error_code) == ("FAILED", "bad_manifest")


def test_opening_again_begins_anew_and_leaves_nothing(attempt):
    send(attempt)
    old = Artifact.objects.get()
    send(attempt)
    new = Artifact.objects.get()
    assert new.key != old.key
    with pytest.raises(StoreError):
        bucket().parts(old.key, old.multipart_id)
    assert finish(attempt).status == "COMPLETED"


def test_the_job_waits_while_the_bucket_is_away(attempt, settings):
    send(attempt, b"small")
    name, settings.S3_ENDPOINT_URL = settings.S3_ENDPOINT_URL, "http://127.0.0.1:9"
    job = finish(attempt, b"small")
    assert job.status == "FINALIZING"
    settings.S3_ENDPOINT_URL = name
    completion.fetch(job)
    job.refresh_from_db()
    assert job.status == "COMPLETED"


def test_a_completion_whose_answer_was_lost_is_found(attempt):
    send(attempt)
    made = Artifact.objects.get()
    bucket().complete(
        made.key, made.multipart_id, bucket().parts(made.key, made.multipart_id)
    )
    assert finish(attempt).status == "COMPLETED"


def test_a_link_writes_its_file_to_its_place_only(attempt):
    way = artifacts.open_output(attempt, "a", "text/plain", 5)
    assert put(way["url"], b"longer", way["headers"]).status_code == 403
    key = Artifact.objects.get().key
    assert put(way["url"].replace(key, f"{key}x"), b"hello", way["headers"]).is_error


def test_a_worker_that_does_not_tell_the_size_sends_through_us(attempt):
    way = artifacts.open_output(attempt, "a", "text/plain", 0)
    assert way["url"].startswith("http://testserver/worker/v1/outputs/")
    artifacts.keep(
        attempt, name="a", content_type="text/plain", size=1, sha256="0", key="out/a"
    )
    assert Artifact.objects.get().store == LOCAL


def test_nothing_is_taken_after_the_manifest(attempt):
    send(attempt, b"small")
    finish(attempt, b"small")
    attempt.refresh_from_db()
    with pytest.raises(Conflict):
        artifacts.open_output(attempt, "out.bin", "video/mp4", 5)
    with pytest.raises(Conflict):
        artifacts.part_links(attempt, "out.bin", [1])


def test_only_parts_of_an_opened_file_are_signed(attempt, settings):
    with pytest.raises(NotFound):
        artifacts.part_links(attempt, "out.bin", [1])
    artifacts.open_output(attempt, "out.bin", "video/mp4", len(CONTENT))
    for numbers in ([0], [3], list(range(1, 102))):
        with pytest.raises(InvalidInput):
            artifacts.part_links(attempt, "out.bin", numbers)
    settings.JOBS_OUTPUT_MAX_BYTES = 10
    with pytest.raises(TooLarge):
        artifacts.open_output(attempt, "out.bin", "video/mp4", 11)


def test_the_operator_hears_that_results_wait_until_they_do_not(attempt, settings):
    send(attempt, b"small")
    url, settings.S3_ENDPOINT_URL = settings.S3_ENDPOINT_URL, "http://127.0.0.1:9"
    job = finish(attempt, b"small")
    alert = Alert.objects.get()
    assert (alert.code, alert.resolved_at) == ("results_wait", None)
    endpoints.mark_reachable(job.endpoint)  # says nothing of the bucket
    settings.S3_ENDPOINT_URL = url
    assert Alert.objects.get().resolved_at is None
    completion.fetch(job)
    assert Alert.objects.get().resolved_at is not None
