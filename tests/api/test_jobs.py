"""The JSON API of jobs."""

import json

import pytest

from jobs.models import Job
from tests.factories import (
    SCHEMA,
    make_endpoint,
    make_job,
    make_key,
    make_local,
    make_upload,
    make_user,
)

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def api(client):
    key = make_key()

    def call(method, path, body=None, key=key):
        return getattr(client, method)(
            f"/api/v1{path}",
            data=json.dumps(body) if body is not None else None,
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )

    return call


def test_a_job_is_created_and_read_back(api):
    make_endpoint(input_schema=SCHEMA)
    body = {
        "endpoint": "blur",
        "input": {"media": f"upload:{make_upload().pk}"},
        "metadata": {"mine": 1},
    }
    created = api("post", "/jobs", body)
    assert created.status_code == 201
    job = api("get", f"/jobs/{created.json()['id']}").json()
    assert (job["status"], job["endpoint"], job["metadata"]) == (
        "PENDING",
        "blur",
        {"mine": 1},
    )
    assert job["queue"] == {"position": 1}
    assert job["urls"]["web"].endswith(f"/jobs/{job['id']}/")


def test_mistakes_are_problem_json_with_a_pointer_each(api):
    make_endpoint(input_schema=SCHEMA)
    answer = api("post", "/jobs", {"endpoint": "blur", "input": {"stlye": 1}})
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert pointers == {"#/input/media", "#/input/stlye"}
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"endpoint": "nope", "input": {"a": 1}}, "#/endpoint"),
        ({"input": {"a": 1}}, "#/endpoint"),
        ({"endpoint": "blur", "input": "text"}, "#/input"),
        ({"endpoint": "blur", "input": {}, "status": "COMPLETED"}, "#/status"),
        ({"endpoint": "blur", "input": {}, "priority": "urgent"}, "#/priority"),
        ({"endpoint": "blur", "input": {}, "metadata": {"a": "\0"}}, "#/metadata/a"),
    ],
)
def test_each_wrong_field_is_named(api, body, pointer):
    make_endpoint()
    answer = api("post", "/jobs", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("body", ["", "{", "[1,]", "nope"])
def test_what_is_not_json_is_400(client, body):
    answer = client.post(
        "/api/v1/jobs",
        data=body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {make_key()}"},
    )
    assert answer.status_code in {400, 422}
    assert answer.json()["code"]


def test_a_paused_endpoint_is_503(api):
    make_endpoint(is_active=False)
    answer = api("post", "/jobs", {"endpoint": "blur", "input": {"a": 1}})
    assert (answer.status_code, answer.json()["code"]) == (503, "endpoint_paused")


def test_a_held_job_is_cancelled_and_a_second_time_changes_nothing(api):
    job = make_job()
    for _ in range(2):
        answer = api("post", f"/jobs/{job.pk}/cancel")
        assert answer.status_code == 202
        assert answer.json()["status"] == "CANCELLED"
    assert job.events.count() == 1


def test_run_again_is_a_new_job_that_knows_its_source(api):
    job = make_job("FAILED")
    new = api("post", f"/jobs/{job.pk}/retry").json()
    assert new["source_job"] == str(job.pk)
    assert new["status"] == "PENDING"


def test_somebody_elses_job_is_404_everywhere(api):
    job = make_job(owner=make_user("bob"))
    assert api("get", f"/jobs/{job.pk}").status_code == 404
    assert api("post", f"/jobs/{job.pk}/cancel").status_code == 404
    assert api("post", f"/jobs/{job.pk}/retry").status_code == 404
    assert api("get", f"/jobs/{job.pk}/outputs/x").status_code == 404
    assert api("get", "/jobs").json()["data"] == []


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


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1000", "cursor=x", "cursor=nzz", "status=NOPE", "limit=a"],
)
def test_wrong_paging_is_422(api, query):
    assert api("get", f"/jobs?{query}").status_code == 422


def test_lists_are_filtered(api):
    make_job()
    make_job("FAILED", endpoint=make_endpoint("other"))
    assert len(api("get", "/jobs?status=FAILED").json()["data"]) == 1
    assert len(api("get", "/jobs?endpoint=blur").json()["data"]) == 1


@pytest.mark.parametrize("key", [None, "wrong", "slipway_00000000_" + "0" * 48])
def test_without_a_valid_key_401(api, key):
    answer = api("get", "/jobs", key=key)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"


def test_a_revoked_key_or_an_inactive_owner_is_401(api):
    from django.utils.timezone import now  # noqa: PLC0415

    from jobs.models import ApiKey  # noqa: PLC0415

    assert api("get", "/me").status_code == 200
    ApiKey.objects.update(revoked_at=now())
    assert api("get", "/me").status_code == 401
    other = make_key(make_user("carol"))
    type(make_user("carol")).objects.filter(username="carol").update(is_active=False)
    assert api("get", "/me", key=other).status_code == 401


def test_a_key_without_the_scope_is_403(api):
    key = make_key(scopes=["endpoints:read"])
    assert api("get", "/jobs", key=key).status_code == 403
    assert (
        api("post", "/jobs", {"endpoint": "x", "input": {}}, key=key).status_code == 403
    )
    assert api("get", "/endpoints", key=key).status_code == 200


def test_a_session_needs_a_csrf_token_to_change_anything():
    from django.test import Client  # noqa: PLC0415

    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user())
    assert browser.get("/api/v1/me").json()["username"] == "alice"
    answer = browser.post("/api/v1/jobs", data="{}", content_type="application/json")
    assert answer.status_code in {401, 403}


def test_endpoints_are_listed_with_schema(api):
    make_local("gpu", input_schema=SCHEMA)
    assert api("get", "/endpoints").json()["data"][0]["slug"] == "gpu"
    assert api("get", "/endpoints/nope").status_code == 404


def test_the_api_describes_itself(client):
    document = client.get("/api/v1/openapi.json").json()
    assert "/api/v1/jobs/{job_id}" in document["paths"]
    assert client.get("/api/v1/docs").status_code == 200


def test_an_unknown_route_is_problem_json(client):
    answer = client.get("/api/v1/nope")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_a_list_takes_a_constant_number_of_queries(api, django_assert_max_num_queries):
    for _ in range(20):
        make_job("COMPLETED")
    with django_assert_max_num_queries(8):
        api("get", "/jobs")
