"""Lists of jobs: pages, filters, and what is not a filter."""

import secrets
import tracemalloc

import pytest

from tests.factories import make_endpoint, make_job, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def test_lists_turn_pages_both_ways(api):
    made = [str(make_job().pk) for _ in range(5)]
    first = api("get", "/jobs?limit=2").json()
    assert [job["id"] for job in first["data"]] == made[:-3:-1]
    assert first["previous"] is None
    path = first["next"].partition("/api/v1")[2]
    second = api("get", path).json()
    assert [job["id"] for job in second["data"]] == [made[2], made[1]]
    back = api("get", second["previous"].partition("/api/v1")[2]).json()
    assert [job["id"] for job in back["data"]] == made[:-3:-1]
    last = api("get", second["next"].partition("/api/v1")[2]).json()
    assert last["next"] is None


WRONG = [
    *("limit=0", "limit=-1", "limit=1000", "limit=a", "limit=1_0", "limit=%2B5"),
    *("limit=%205", "limit=%D9%A3", "limit=%C2%B2", f"limit={10**30}", "limit=5.0"),
    *("cursor=x", "cursor=nzz", "cursor=n" + "0" * 31, "cursor=p" + "A" * 32),
    *(
        "status=NOPE",
        "status=completed",
        "status=%27%20OR%201=1",
        "order=id",
        "stauts=x",
    ),
    *("created_after=yesterday", "created_after=0", "created_after=2026-01-01"),
    *("created_after=0000-01-01T00:00:00Z", "created_after=10000-01-01T00:00:00Z"),
    *("created_after=2026-01-01T00:00:00", "created_before=2026-06-30T23:59:60Z"),
    *("created_after=0001-01-01T00:00:00%2B23:00", "endpoint=%00", "metadata[a]=%00"),
    "metadata[]=1",
]


@pytest.mark.parametrize("query", WRONG)
def test_a_filter_that_makes_no_sense_is_400(api, query):
    answer = api("get", f"/jobs?{query}")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_an_unknown_filter_is_400_with_the_nearest_known_one(api):
    assert "“status”" in api("get", "/jobs?stauts=FAILED").json()["detail"]


def test_template_and_sql_text_in_a_filter_is_inert(api):
    make_job()
    for text in ("{{7*7}}", "%27;DROP TABLE jobs_job;--", "${7*7}", "%25"):
        assert api("get", f"/jobs?endpoint={text}").json()["data"] == []


def test_jobs_are_found_by_their_metadata(api):
    job = make_job(metadata={"order": "4711", "a__b": "x", "n": 5, 'q"]': "y"})
    make_job(metadata={"order": "1"})
    for query in ("order]=4711", "a__b]=x", "n]=5"):
        matches = api("get", f"/jobs?metadata[{query}").json()["data"]
        assert [one["id"] for one in matches] == [str(job.pk)], query
    both = api("get", "/jobs?metadata[order]=4711&metadata[n]=6").json()["data"]
    assert both == []


def test_jobs_are_found_by_their_time(api):
    job = make_job()
    at = job.created_at.isoformat().replace("+", "%2B")
    assert api("get", f"/jobs?created_before={at}").json()["data"] == []
    matches = api("get", "/jobs?created_after=2020-01-01T00:00:00Z").json()["data"]
    assert len(matches) == 1


def test_lists_are_filtered(api):
    make_job()
    make_job("FAILED", endpoint=make_endpoint("other"))
    assert len(api("get", "/jobs?status=FAILED").json()["data"]) == 1
    assert len(api("get", "/jobs?endpoint=blur").json()["data"]) == 1


def test_a_list_takes_a_constant_number_of_queries(api, django_assert_max_num_queries):
    for _ in range(20):
        make_job("COMPLETED")
    with django_assert_max_num_queries(8):
        api("get", "/jobs")


@pytest.mark.parametrize("text", ["x" * 70_000, secrets.token_hex(35_000)])
def test_what_is_large_is_left_out_of_a_list_and_named(api, text):
    large = make_job("COMPLETED", input={"text": text}, output={"text": text})
    small = make_job("COMPLETED", input={"text": "hi"}, output=[1])
    held = make_job(input={"text": text[:60_000]})
    by_id = {job["id"]: job for job in api("get", "/jobs").json()["data"]}
    shown = by_id[str(large.pk)]
    assert (shown["input"], shown["output"]) == (None, None)
    assert shown["left_out"] == ["input", "output"]
    shown = by_id[str(small.pk)]
    assert (shown["input"], shown["output"]) == ({"text": "hi"}, [1])
    assert shown["left_out"] == []
    shown = by_id[str(held.pk)]
    assert (shown["input"], shown["output"]) == ({"text": text[:60_000]}, None)
    assert shown["left_out"] == []
    assert api("get", f"/jobs/{large.pk}").json()["output"] == {"text": text}


def test_a_list_of_large_jobs_needs_little_memory(api):
    for _ in range(10):
        make_job(input={"text": "x" * 1_000_000})
    api("get", "/jobs")
    tracemalloc.start()
    assert len(api("get", "/jobs").json()["data"]) == 10
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("url", ["/", "/jobs/", "/admin/jobs/job/"])
def test_pages_of_jobs_need_little_memory(client, url):
    boss = make_user("boss", is_staff=True, is_superuser=True)
    client.force_login(boss)
    client.get(url)
    for _ in range(10):
        make_job(input={"text": "x" * 2_000_000}, owner=boss)
    tracemalloc.start()
    page = client.get(url)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert page.status_code == 200
    assert peak < 8_000_000
