"""Items read from files and buckets: each once, whatever dies, and none silently missing."""

import tracemalloc
from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.lib import item_readers
from jobs.lib.errors import Conflict, InvalidInput
from jobs.models import Batch, BatchChunk, Job, Lease, Upload
from jobs.services.batching import batch_json, batches, enqueuing, item_sources
from jobs.services.files import uploads
from jobs.states import JobStatus
from jobs.storage import LocalStore, StoreError
from tests.factories import SCHEMA, make_upload, make_user
from tests.services.batch_reading import (
    PAYLOAD,
    all_inputs,
    lines,
    of_file,
    read,
)
from tests.services.test_batches import end

pytestmark = [pytest.mark.db, pytest.mark.django_db]
NUMBERS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {
        "text": {"type": "string"},
        "number": {"type": "integer"},
        "exact": {"type": "boolean"},
    },
}


@pytest.fixture(autouse=True)
def _all_at_once(settings):
    settings.JOBS_BATCH_IN_FLIGHT = 10_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ndjson", b'{"text": "a", "number": 1}\n{"text": "b", "exact": true}\n'),
        ("a.jsonl", b'{"text": "a", "number": 1}\n{"text": "b", "exact": true}'),
        ("a.json", b'[{"text": "a", "number": 1},\n{"text": "b", "exact": true}]'),
        ("a.csv", b"text,number,exact\na,1,\nb,,yes\n"),
        ("a.tsv", b"text\tnumber\texact\na\t1\t\nb\t\tTrue\n"),
    ],
)
def test_every_kind_of_file_becomes_inputs(name, content):
    batch = of_file(content, name, schema=NUMBERS)
    assert all_inputs(batch) == [
        {"text": "a", "number": 1},
        {"text": "b", "exact": True},
    ]
    assert {job.status for job in batch.jobs.all()} == {"PENDING"}


def test_a_line_of_text_is_for_the_field_it_is_meant_for():
    batch = of_file(b"one\ntwo\n", "a.txt", schema=NUMBERS)
    assert all_inputs(batch) == [{"text": "one"}, {"text": "two"}]
    batch = of_file(b"one\n", "a.txt", source={"field": "word"})
    assert all_inputs(batch) == [{"word": "one"}]


def test_what_all_inputs_have_yields_to_the_items_own():
    source = {"input": {"number": 7, "text": "none"}}
    batch = of_file(lines({"text": "a"}, {"number": 8}), source=source)
    assert all_inputs(batch) == [
        {"number": 7, "text": "a"},
        {"number": 8, "text": "none"},
    ]


def test_items_in_groups_are_the_payloads_of_jobs():
    content = lines(*range(7))
    batch = of_file(content, schema=PAYLOAD, batch_size=3)
    assert all_inputs(batch) == [
        {"payload": [0, 1, 2]},
        {"payload": [3, 4, 5]},
        {"payload": [6]},
    ]


def test_an_item_that_is_no_input_fails_and_says_why_and_stops_no_other():
    content = lines({"text": "a"}) + b"oops\n" + lines({"txet": "b"}, {"text": "c"}, 5)
    batch = of_file(content, schema=NUMBERS)
    all_inputs(batch)
    rows = batch.jobs.order_by("batch_index").values_list(
        "status", "error_code", "error_message"
    )
    statuses = [row[0] for row in rows]
    assert statuses == ["PENDING", "FAILED", "FAILED", "PENDING", "FAILED"]
    assert {row[1] for row in rows if row[0] == "FAILED"} == {"bad_item"}
    assert "not JSON" in rows[1][2]
    assert "Did you mean “text”?" in rows[2][2]
    assert batch.jobs.get(batch_index=1).input == {"text": "oops"}
    for job in batch.jobs.filter(status="PENDING"):
        end(job)
    batches.feed()
    assert batches.retry_failed(batch) == 0  # it would be no use
    batch.refresh_from_db()
    assert batch.ended_at
    groups = batch_json.failures(batch)
    assert not any(group.is_retryable for group in groups)


def test_a_bad_item_between_groups_loses_none_of_them():
    content = lines(1, 2, 3) + b"oops\n" + lines(4)
    batch = of_file(content, schema=PAYLOAD, batch_size=5)
    inputs = all_inputs(batch)
    assert inputs == [{"payload": [1, 2, 3]}, {"payload": ["oops"]}, {"payload": [4]}]
    failed = batch.jobs.filter(status="FAILED")
    assert [job.batch_index for job in failed] == [1]


def test_what_no_database_stores_is_kept_as_text():
    content = b'{"text": "a\\u0000b"}\n' + b'{"text": "c"}\n'
    batch = of_file(content)
    assert all_inputs(batch)[1] == {"text": "c"}
    assert batch.jobs.get(batch_index=0).error_code == "bad_item"


@pytest.mark.parametrize("batch_size", [None, 7])
def test_a_reader_that_dies_anywhere_loses_and_repeats_nothing(monkeypatch, batch_size):
    schema = PAYLOAD if batch_size else {}
    items = [{"n": n} for n in range(1000)]
    batch = of_file(lines(*items), schema=schema, batch_size=batch_size)
    whole, left = LocalStore.chunks, [1]

    def cut(store, key, start, stop):
        for piece in whole(store, key, start, stop):
            for at in range(0, len(piece), 500):
                left[0] -= 1
                if left[0] == 0:
                    raise StoreError("the disk is away")
                yield piece[at : at + 500]

    monkeypatch.setattr(LocalStore, "chunks", cut)
    monkeypatch.setattr(enqueuing, "CHUNK_ITEMS", 20)
    for _ in range(100):
        left[0] = 7
        read(batch)
        if batch.enqueued_at:
            break
        assert batch.enqueue_error == "the disk is away"
    inputs = all_inputs(batch)
    if batch_size:
        assert [one for group in inputs for one in group["payload"]] == items
    else:
        assert inputs == items
    assert batch.enqueue_error == ""


def test_work_begins_while_items_are_still_being_read(monkeypatch):
    monkeypatch.setattr(enqueuing, "TASK_SECONDS", 0)
    batch = of_file(lines(*({"n": n} for n in range(450))))
    read(batch)
    batches.feed()
    batch.refresh_from_db()
    assert (batch.total, batch.next_index, batch.enqueued_at) == (200, 200, None)
    counted = batch_json.counts([batch])[batch.pk]
    assert batch_json.status_of(batch, counted) == "RUNNING"
    for job in batch.jobs.all():
        end(job)
    batches.feed()
    batch.refresh_from_db()
    assert batch.ended_at is None  # there is more to come
    assert len(all_inputs(batch)) == 450


def test_a_batch_that_nobody_reads_is_read_when_the_loop_notices(monkeypatch):
    asked = []
    batch = of_file(lines({"n": 1}))
    monkeypatch.setattr("jobs.lib.nudge.enqueue", asked.append)
    batches.feed()
    batches.feed()
    assert asked == [batch.pk]
    Batch.objects.update(enqueue_due_at=now() - timedelta(seconds=1))
    batches.feed()
    assert asked == [batch.pk, batch.pk]


def test_two_readers_at_once_are_one():
    batch = of_file(lines({"n": 1}))
    Lease.objects.create(
        name=f"batch {batch.pk.hex}",
        holder="another",
        until=now() + timedelta(seconds=30),
    )
    read(batch)
    assert batch.enqueued_at is None
    assert not BatchChunk.objects.exists()


def test_a_reader_that_others_have_overtaken_writes_nothing():
    batch = of_file(lines({"n": 1}))
    late = Batch.objects.get()
    read(batch)
    assert not enqueuing._add(late, enqueuing.Chunk([{"n": 1}], {}, {"offset": 9}))
    assert BatchChunk.objects.count() == 1


def test_a_source_that_cannot_be_read_is_given_up_and_says_so(settings, monkeypatch):
    settings.JOBS_BATCH_READ_TRIES = 3
    batch = of_file(lines({"n": 1}))

    def away(*_):
        raise StoreError("The bucket cannot be reached.")
        yield

    monkeypatch.setattr(LocalStore, "chunks", away)
    for _ in range(4):
        read(batch)
    assert batch.enqueue_error == "The bucket cannot be reached."
    batches.feed()
    batch.refresh_from_db()
    counted = batch_json.counts([batch])[batch.pk]
    assert batch_json.status_of(batch, counted) == "ENQUEUE_FAILED"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.ndjson", b"\n \n", "The source contains no items."),
        ("a.csv", b"a,,b\n1,2,3\n", "Column 2 has no name"),
        ("a.json", b'[{"a": 1}, oops]', "Not JSON after 11 bytes"),
    ],
)
def test_a_file_that_breaks_off_ends_its_batch_with_the_reason(name, content, words):
    batch = of_file(content, name)
    read(batch)
    batches.feed()
    batch.refresh_from_db()
    assert words in batch.enqueue_error
    assert batch.jobs.count() == content.count(b'{"a"')  # what was read before runs
    for job in batch.jobs.all():
        end(job)
    batches.feed()
    batch.refresh_from_db()
    counted = batch_json.counts([batch])[batch.pk]
    assert batch_json.status_of(batch, counted) == "ENQUEUE_FAILED"


def test_a_cancelled_batch_is_read_no_further_until_it_is_run_again(monkeypatch):
    monkeypatch.setattr(enqueuing, "TASK_SECONDS", 0)
    batch = of_file(lines(*({"n": n} for n in range(300))))
    read(batch)
    batches.request_cancel(batch)
    read(batch)
    assert (batch.total, batch.enqueued_at) == (200, None)
    batches.feed()
    batch.refresh_from_db()
    assert batch.ended_at
    batches.retry_failed(batch)
    assert len(all_inputs(batch)) == 300


def test_a_file_stays_while_items_are_read_from_it():
    batch = of_file(lines({"n": 1}))
    upload = Upload.objects.get()
    assert upload.expires_at is None
    with pytest.raises(Conflict, match=r"reading its items from items\.ndjson"):
        uploads.discard(upload)
    read(batch)
    upload.refresh_from_db()
    assert upload.expires_at is not None
    uploads.discard(upload)


@pytest.mark.parametrize("batch_size", [None, 2])
def test_what_was_read_before_a_mistake_is_not_lost(batch_size):
    schema = PAYLOAD if batch_size else {}
    content = b'[{"a": 1}, {"a": 2}, {"a": 3}, oops]'
    batch = of_file(content, "a.json", schema=schema, batch_size=batch_size)
    assert sum(len(one.get("payload", [one])) for one in all_inputs(batch)) == 3


def test_files_that_items_name_are_kept_and_checked():
    bob = make_user("bob")
    mine, foreign = make_upload(), make_upload(owner=bob)
    rows = [{"media": f"upload:{one.pk}"} for one in (mine, foreign)]
    batch = of_file(lines(*rows), schema=SCHEMA)
    all_inputs(batch)
    mine.refresh_from_db()
    assert mine.expires_at is None
    assert [job.status for job in batch.jobs.order_by("batch_index")] == [
        "PENDING",
        "FAILED",
    ]


def test_nobody_keeps_other_peoples_files_by_naming_them():
    foreign = make_upload(owner=make_user("bob"))
    until = foreign.expires_at
    of = of_file(lines({"media": f"upload:{foreign.pk}"}), schema=SCHEMA)
    all_inputs(of)
    foreign.refresh_from_db()
    assert foreign.expires_at == until


def test_a_file_deleted_before_its_items_turn_is_told():
    upload = make_upload()
    batch = of_file(lines({"media": f"upload:{upload.pk}"}), schema=SCHEMA)
    read(batch)
    upload.delete()
    batches.feed()
    job = batch.jobs.get()
    assert (job.status, job.error_code) == ("FAILED", "bad_item")
    assert "deleted" in job.error_message


@pytest.mark.parametrize(
    ("name", "file_format", "pointer"),
    [("a.bin", None, "/format"), ("a.bin", "csv", None), ("a.csv", None, None)],
)
def test_a_file_of_unknown_kind_is_asked_about(name, file_format, pointer):
    upload = make_upload(b"a\n1\n", name=name)
    source = {"kind": "file", "upload": f"upload:{upload.pk}", "format": file_format}
    if pointer is None:
        assert item_sources.check(source, owner=make_user())["format"] == "csv"
        return
    with pytest.raises(InvalidInput) as caught:
        item_sources.check(source, owner=make_user())
    assert caught.value.problems[0].pointer == pointer


def test_nobody_has_items_read_from_other_peoples_files():
    upload = make_upload(b"1\n", name="a.csv", owner=make_user("bob"))
    source = {"kind": "file", "upload": f"upload:{upload.pk}"}
    with pytest.raises(InvalidInput, match="upload does not exist"):
        item_sources.check(source, owner=make_user())


# --- buckets --------------------------------------------------------------------------
def test_a_dry_run_reads_the_first_items_only(settings):
    settings.JOBS_BATCH_DRY_RUN_ITEMS = 3
    batch = of_file(lines({"text": "a"}, {"txet": "b"}), schema=NUMBERS)
    preview = enqueuing.preview(batch)
    assert (preview.checked, preview.total) == (2, 2)
    assert [index for index, _ in preview.problems] == [1]
    batch = of_file(lines(*({"text": "a"} for _ in range(9))), schema=NUMBERS)
    assert enqueuing.preview(batch).total is None
    assert not Job.objects.exists()


def test_an_item_too_large_for_the_backend_fails_alone(settings, monkeypatch):
    settings.JOBS_INPUT_MAX_BYTES = 100
    monkeypatch.setattr(item_readers, "MAX", 10_000)
    batch = of_file(lines({"text": "x" * 200}, {"text": "y"}))
    all_inputs(batch)
    statuses = batch.jobs.order_by("batch_index").values_list("status", flat=True)
    assert list(statuses) == [JobStatus.FAILED, JobStatus.PENDING]


def test_memory_does_not_depend_on_the_number_of_items(monkeypatch):
    monkeypatch.setattr(enqueuing, "TASK_SECONDS", 600)  # on a busy machine, too

    def peak(count):
        batch = of_file(lines(*({"text": f"{n:02000}"} for n in range(count))))
        tracemalloc.start()
        read(batch)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert batch.total == count
        return used

    peak(100)  # what is imported and cached once
    assert peak(8000) < peak(2000) * 1.3
