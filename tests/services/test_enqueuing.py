"""Items read from files and buckets: each once, whatever dies, and none silently missing."""

import json
import tracemalloc
from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs import item_readers
from jobs.errors import Conflict, InvalidInput
from jobs.models import Batch, BatchChunk, Job, Lease, Upload
from jobs.services import (
    batch_json,
    batches,
    bucket_sources,
    enqueuing,
    inputs,
    item_sources,
    jobs,
    uploads,
)
from jobs.services.batches import Options
from jobs.states import JobStatus
from jobs.storage import LocalStore, StoreError
from tests.factories import SCHEMA, make_endpoint, make_upload, make_user
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
PAYLOAD = {"type": "object", "properties": {"payload": {"type": "array"}}}


@pytest.fixture(autouse=True)
def _all_at_once(settings):
    settings.JOBS_BATCH_IN_FLIGHT = 10_000


def lines(*values) -> bytes:
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def of_file(content=b"", name="items.ndjson", *, schema=None, source=None, **options):
    """Return a batch whose items are read from an upload."""
    endpoint = make_endpoint("numbers", input_schema=schema or {})
    upload = make_upload(content, name=name)
    told = {"kind": "file", "upload": f"upload:{upload.pk}", **(source or {})}
    return begun(endpoint, told, **options)


def begun(endpoint, source, **options):
    owner = make_user()
    source = item_sources.check(source, owner=owner)
    return batches.create(
        owner=owner, endpoint=endpoint, source=source, options=Options(**options)
    )


def read(batch):
    enqueuing.enqueue(batch.pk)
    batch.refresh_from_db()


def all_inputs(batch):
    """Return the input of every job, once all have been made."""
    while not (batch.enqueued_at and batch.next_index >= batch.total):
        read(batch)
        batches.feed()
        batch.refresh_from_db()
    return [job.input for job in batch.jobs.order_by("batch_index")]


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
    found = all_inputs(batch)
    assert found == [{"payload": [1, 2, 3]}, {"payload": ["oops"]}, {"payload": [4]}]
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
    found = all_inputs(batch)
    if batch_size:
        assert [one for group in found for one in group["payload"]] == items
    else:
        assert found == items
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
    monkeypatch.setattr("jobs.nudge.enqueue", asked.append)
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
        ("a.ndjson", b"\n \n", "There are no items in it."),
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
    with pytest.raises(Conflict, match=r"being read from items\.ndjson"):
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
    mine, theirs = make_upload(), make_upload(owner=bob)
    rows = [{"media": f"upload:{one.pk}"} for one in (mine, theirs)]
    batch = of_file(lines(*rows), schema=SCHEMA)
    all_inputs(batch)
    mine.refresh_from_db()
    assert mine.expires_at is None
    assert [job.status for job in batch.jobs.order_by("batch_index")] == [
        "PENDING",
        "FAILED",
    ]


def test_nobody_keeps_other_peoples_files_by_naming_them():
    theirs = make_upload(owner=make_user("bob"))
    until = theirs.expires_at
    of = of_file(lines({"media": f"upload:{theirs.pk}"}), schema=SCHEMA)
    all_inputs(of)
    theirs.refresh_from_db()
    assert theirs.expires_at == until


def test_a_long_search_in_a_bucket_keeps_its_lease(s3):
    put(s3, **{f"a__{n}": b"x" for n in range(5)})
    source = listing("listing", f"s3://{s3.bucket}/a/", excludes=["**"])
    asked = []
    found = item_sources.read(source, {}, make_endpoint(), lambda: asked.append(1))
    assert list(found) == []
    assert len(asked) == 5


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
    ("name", "told", "pointer"),
    [("a.bin", None, "/format"), ("a.bin", "csv", None), ("a.csv", None, None)],
)
def test_a_file_of_unknown_kind_is_asked_about(name, told, pointer):
    upload = make_upload(b"a\n1\n", name=name)
    source = {"kind": "file", "upload": f"upload:{upload.pk}", "format": told}
    if pointer is None:
        assert item_sources.check(source, owner=make_user())["format"] == "csv"
        return
    with pytest.raises(InvalidInput) as caught:
        item_sources.check(source, owner=make_user())
    assert caught.value.problems[0].pointer == pointer


def test_nobody_has_items_read_from_other_peoples_files():
    upload = make_upload(b"1\n", name="a.csv", owner=make_user("bob"))
    source = {"kind": "file", "upload": f"upload:{upload.pk}"}
    with pytest.raises(InvalidInput, match="no such upload"):
        item_sources.check(source, owner=make_user())


# --- buckets --------------------------------------------------------------------------
def listing(kind="listing", *paths, includes=(), excludes=()):
    return {
        "kind": kind,
        "s3_paths": list(paths),
        "includes": list(includes),
        "excludes": list(excludes),
    }


def put(s3, **objects):
    for name, content in objects.items():
        key = name.replace("__", "/")
        s3.client.put_object(Bucket=s3.bucket, Key=key, Body=content)


def test_files_in_a_bucket_are_items_in_their_order_each_once(s3, monkeypatch):
    monkeypatch.setattr("jobs.storage.s3.LISTED_AT_ONCE", 2)
    names = [f"clips__{n}.mp4" for n in range(5)] + ["clips__a.txt", "more__x.mp4"]
    put(s3, **dict.fromkeys(names, b"x"))
    base = f"s3://{s3.bucket}"
    source = listing(
        "listing",
        f"{base}/clips/3",
        f"{base}/clips/",
        f"{base}/more/x.mp4",
        includes=["**.mp4"],
        excludes=["**/1.*"],
    )
    endpoint = make_endpoint("video", input_schema=SCHEMA)
    batch = begun(endpoint, source)
    found = [one["media"].removeprefix(base) for one in all_inputs(batch)]
    assert found == [
        "/clips/3.mp4",
        "/clips/0.mp4",
        "/clips/2.mp4",
        "/clips/4.mp4",
        "/more/x.mp4",
    ]


def test_a_listing_goes_on_where_its_reader_died(s3, monkeypatch):
    monkeypatch.setattr(enqueuing, "TASK_SECONDS", 0)
    monkeypatch.setattr(enqueuing, "CHUNK_ITEMS", 2)
    put(s3, **{f"{folder}__{n}": b"x" for folder in "ab" for n in range(5)})
    base = f"s3://{s3.bucket}"
    batch = begun(make_endpoint(), listing("listing", f"{base}/a/", f"{base}/b/"))
    read(batch)
    assert (batch.total, batch.cursor) == (2, {"path": 0, "after": "a/1"})
    found = [one["item"].removeprefix(base) for one in all_inputs(batch)]
    assert found == [f"/{folder}/{n}" for folder in "ab" for n in range(5)]


def test_values_in_files_of_a_bucket_are_items_and_groups_span_files(s3, monkeypatch):
    monkeypatch.setattr(enqueuing, "TASK_SECONDS", 0)
    monkeypatch.setattr(enqueuing, "CHUNK_ITEMS", 1)
    put(s3, rows__1=lines(1, 2, 3), rows__2=b"45 \n", rows__3=b'{"n": 6}{"n": 7}')
    source = listing("delimited", f"s3://{s3.bucket}/rows/")
    endpoint = make_endpoint(input_schema=PAYLOAD)
    batch = begun(endpoint, source, batch_size=2)
    found = all_inputs(batch)
    assert [one["payload"] for one in found] == [[1, 2], [3, 45], [{"n": 6}, {"n": 7}]]


def test_a_file_that_has_gone_or_is_no_text_is_a_failed_item_and_stops_no_other(s3):
    put(s3, rows__1=lines(1), rows__2=b'"\xff"', rows__3=lines(3), rows__4=lines(4))
    source = listing("delimited", f"s3://{s3.bucket}/rows/")
    listed = list(bucket_sources.paths(source, {}))
    s3.delete("rows/3")
    found = []
    for path, at in listed:
        cursor = {**at, "opened": path, "offset": 0}
        found += list(item_sources._in_object(path, cursor))
    assert [item.value for item in found if not item.problem] == [1, 4]
    told = [item for item in found if item.problem]
    assert ["UTF-8" in told[0].problem, "has gone" in told[1].problem] == [True, True]
    assert told[1].cursor == {"path": 0, "after": "rows/3"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("s3://elsewhere/a", "may not read there"),
        ("s3://{bucket}/in/", "may not read there"),
        ("s3://{bucket}/out/x", "may not read there"),
        ("https://x/y", "s3://bucket/"),
        ("s3://{bucket}/nothing/", "no s3 files match search criteria"),
    ],
)
def test_nobody_lists_what_an_operator_has_not_allowed(s3, path, words):
    put(s3, in__a=b"x", out__b=b"x", ours=b"x")
    with pytest.raises(InvalidInput, match=words):
        begun(make_endpoint(), listing("listing", path.format(bucket=s3.bucket)))


def test_a_short_prefix_does_not_reach_what_is_ours(s3):
    put(s3, in__a=b"x", out__b=b"x", other=b"x")
    batch = begun(make_endpoint(), listing("listing", f"s3://{s3.bucket}/"))
    assert all_inputs(batch) == [{"item": f"s3://{s3.bucket}/other"}]


def test_an_operator_says_where_users_may_look(s3, settings):
    put(s3, a__1=b"x", b__1=b"x")
    settings.JOBS_BATCH_SOURCES = [f"s3://{s3.bucket}/a/"]
    assert begun(make_endpoint(), listing("listing", f"s3://{s3.bucket}/a/"))
    with pytest.raises(InvalidInput, match="JOBS_BATCH_SOURCES"):
        begun(make_endpoint(), listing("listing", f"s3://{s3.bucket}/b/"))
    settings.JOBS_BATCH_SOURCES = [f"s3://{s3.bucket[:-1]}", f"s3://{s3.bucket}/b"]
    for name in ("a/", "bb", "in/x"):
        assert bucket_sources.refusal(f"s3://{s3.bucket}/{name}")
    assert not bucket_sources.refusal(f"s3://{s3.bucket}/b/1")
    settings.JOBS_BATCH_SOURCES = [f"s3://{s3.bucket}/"]
    assert bucket_sources.refusal(f"s3://{s3.bucket}/out/x")
    assert not bucket_sources.refusal(f"s3://{s3.bucket}/a/1")
    settings.JOBS_BATCH_SOURCES = []
    with pytest.raises(InvalidInput, match="may not read"):
        begun(make_endpoint(), listing("listing", f"s3://{s3.bucket}/a/"))


def test_a_bad_pattern_is_named():
    source = listing("listing", "s3://b/a", includes=["ok", "[a"])
    with pytest.raises(InvalidInput) as caught:
        item_sources.check(source, owner=make_user())
    places = [problem.pointer for problem in caught.value.problems]
    assert places == ["/file_path_lister/s3_paths/0", "/file_path_lister/includes/1"]


def test_a_worker_gets_a_link_in_place_of_a_path_in_a_bucket(s3):
    put(s3, clips__a=b"x")
    path = f"s3://{s3.bucket}/clips/a"
    endpoint = make_endpoint("video", input_schema=SCHEMA)
    job = jobs.create(owner=make_user(), endpoint=endpoint, input={"media": path})
    attempt = job.attempts.create(number=1)
    sent = inputs.for_backend(job, attempt)
    assert sent["media"].startswith("http://")
    assert "X-Amz-Signature" in sent["media"]
    elsewhere = {"media": f"s3://{s3.bucket}/in/secret"}
    with pytest.raises(InvalidInput, match="may not read"):
        jobs.create(owner=make_user(), endpoint=endpoint, input=elsewhere)


def test_a_dry_run_reads_the_first_items_only(settings):
    settings.JOBS_BATCH_DRY_RUN_ITEMS = 3
    batch = of_file(lines({"text": "a"}, {"txet": "b"}), schema=NUMBERS)
    found = enqueuing.preview(batch)
    assert (found.checked, found.total) == (2, 2)
    assert [index for index, _ in found.problems] == [1]
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


def test_memory_does_not_depend_on_the_number_of_items():
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
