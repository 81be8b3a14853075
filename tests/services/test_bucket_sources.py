"""Items listed and read in buckets, and where users may look."""

import pytest

from jobs.lib.errors import InvalidInput
from jobs.services.batching import enqueuing, item_sources
from jobs.services.files import bucket_sources
from jobs.services.lifecycle import inputs, jobs
from tests.factories import SCHEMA, make_endpoint, make_user
from tests.services.batch_reading import (
    PAYLOAD,
    all_inputs,
    begun,
    lines,
    read,
)

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _all_at_once(settings):
    settings.JOBS_BATCH_IN_FLIGHT = 10_000


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
    paths = [one["media"].removeprefix(base) for one in all_inputs(batch)]
    assert paths == [
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
    paths = [one["item"].removeprefix(base) for one in all_inputs(batch)]
    assert paths == [f"/{folder}/{n}" for folder in "ab" for n in range(5)]


def test_values_in_files_of_a_bucket_are_items_and_groups_span_files(s3, monkeypatch):
    monkeypatch.setattr(enqueuing, "TASK_SECONDS", 0)
    monkeypatch.setattr(enqueuing, "CHUNK_ITEMS", 1)
    put(s3, rows__1=lines(1, 2, 3), rows__2=b"45 \n", rows__3=b'{"n": 6}{"n": 7}')
    source = listing("delimited", f"s3://{s3.bucket}/rows/")
    endpoint = make_endpoint(input_schema=PAYLOAD)
    batch = begun(endpoint, source, batch_size=2)
    job_inputs = all_inputs(batch)
    assert [one["payload"] for one in job_inputs] == [
        [1, 2],
        [3, 45],
        [{"n": 6}, {"n": 7}],
    ]


def test_a_file_that_has_gone_or_is_no_text_is_a_failed_item_and_stops_no_other(s3):
    put(s3, rows__1=lines(1), rows__2=b'"\xff"', rows__3=lines(3), rows__4=lines(4))
    source = listing("delimited", f"s3://{s3.bucket}/rows/")
    listed = list(bucket_sources.paths(source, {}))
    s3.delete("rows/3")
    items = []
    for path, at in listed:
        cursor = {**at, "opened": path, "offset": 0}
        items += list(item_sources._in_object(path, cursor))
    assert [item.value for item in items if not item.problem] == [1, 4]
    failed = [item for item in items if item.problem]
    assert ["UTF-8" in failed[0].problem, "was deleted" in failed[1].problem] == [
        True,
        True,
    ]
    assert failed[1].cursor == {"path": 0, "after": "rows/3"}


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


def test_a_long_search_in_a_bucket_keeps_its_lease(s3):
    put(s3, **{f"a__{n}": b"x" for n in range(5)})
    source = listing("listing", f"s3://{s3.bucket}/a/", excludes=["**"])
    asked = []
    items = item_sources.read(source, {}, make_endpoint(), lambda: asked.append(1))
    assert list(items) == []
    assert len(asked) == 5
