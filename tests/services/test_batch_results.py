"""All results of a batch as one download, written while it is read."""

import io
import json
import zipfile

import pytest

from jobs.lib.errors import TooLarge
from jobs.models import Artifact, Job
from jobs.services.batching import batch_results, batches
from jobs.services.files import artifacts
from jobs.states import JobStatus
from jobs.storage import local
from tests.factories import make_batch
from tests.services.test_batches import end

pytestmark = [pytest.mark.db, pytest.mark.django_db]
BASE = "https://slipway.test"


@pytest.fixture
def batch():
    """Return a batch of four: with a file, with two, failed, not begun."""
    made = make_batch([{"n": n} for n in range(4)], workers=3)
    batches.feed()
    jobs = list(made.jobs.order_by("batch_index"))
    deliver(jobs[0], {"a.txt": b"one"})
    deliver(jobs[1], {"a.txt": b"two", "b c.txt": b"x" * 3_000_000})
    end(jobs[2], JobStatus.FAILED)
    return made


def deliver(job, files):
    """End a job with files, as its worker's manifest would have it."""
    attempt = job.attempts.create(number=1)
    for name, content in files.items():
        key = f"out/{job.pk.hex}/{name}"
        local().save(key, [content])
        fields = {"size": len(content), "sha256": "0", "key": key}
        artifacts.keep(attempt, name=name, content_type="text/plain", **fields)
    attempt.manifest = {"files": [{"name": name} for name in files]}
    attempt.save(update_fields=["manifest"])
    end(job)
    Job.objects.filter(pk=job.pk).update(attempt_no=1, output={"is": job.batch_index})


def unzipped(batch):
    content = b"".join(batch_results.archive(batch, base=BASE))
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}


def test_the_zip_has_every_file_and_every_result(batch):
    files = unzipped(batch)
    assert set(files) == {
        "000000/a.txt",
        "000001/a.txt",
        "000001/b c.txt",
        "results.ndjson",
    }
    assert files["000001/a.txt"] == b"two"
    assert len(files["000001/b c.txt"]) == 3_000_000
    lines = [json.loads(line) for line in files["results.ndjson"].splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]


def test_each_item_is_a_line_with_its_input_output_files_and_error(
    batch, django_assert_max_num_queries
):
    with django_assert_max_num_queries(8):
        lines = b"".join(batch_results.lines(batch, base=BASE)).splitlines()
    first, second, third = map(json.loads, lines)
    assert (first["input"], first["output"]) == ({"n": 0}, {"is": 0})
    assert (first["status"], first["attempts"]) == ("COMPLETED", 1)
    names = [file["name"] for file in second["outputs"]]
    assert names == ["a.txt", "b c.txt"]
    assert second["outputs"][0]["url"].startswith(f"{BASE}/")
    assert third["status"] == "FAILED"


def test_the_dead_letters_are_the_failed_items_only(batch):
    only = batch_results.ONLY_FAILED
    (line,) = batch_results.lines(batch, base=BASE, only=only)
    assert json.loads(line)["index"] == 2


def test_many_items_are_read_some_at_a_time_in_their_order(monkeypatch):
    monkeypatch.setattr(batch_results, "AT_ONCE", 2)
    batch = make_batch([{"n": n} for n in range(5)])
    batches.feed()
    pieces = list(batch_results.lines(batch, base=BASE))
    assert [piece.count(b"\n") for piece in pieces] == [2, 2, 1]
    lines = b"".join(pieces).splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(5))


def test_of_an_item_that_was_run_again_the_newest_job_is_there(batch):
    assert batches.retry_failed(batch) == 1
    lines = b"".join(batch_results.lines(batch, base=BASE)).splitlines()
    assert [json.loads(line)["status"] for line in lines] == [
        "COMPLETED",
        "COMPLETED",
        "PENDING",
    ]


def test_a_file_that_is_gone_is_named_and_the_others_are_there(batch):
    local().delete(Artifact.objects.get(size=3_000_000).key)
    files = unzipped(batch)
    assert b"000001/b c.txt" in files["MISSING.txt"]
    assert files["000001/a.txt"] == b"two"


def test_a_zip_never_holds_a_file_in_memory(batch):
    sizes = [len(piece) for piece in batch_results.archive(batch, base=BASE)]
    assert max(sizes) < 1_200_000


def test_too_many_files_are_refused_with_another_way(batch, monkeypatch):
    monkeypatch.setattr(batch_results, "MAX_FILES", 2)
    with pytest.raises(TooLarge, match=r"results\.ndjson"):
        batch_results.check_archive(batch)


def test_a_file_as_large_as_zip64_begins_with_what_it_needs(batch, monkeypatch):
    monkeypatch.setattr(batch_results, "ZIP64_BYTES", 10)
    assert len(unzipped(batch)["000001/b c.txt"]) == 3_000_000
