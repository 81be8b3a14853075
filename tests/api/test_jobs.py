"""The JSON API of jobs."""

import pytest

from jobs.models import Job
from tests.factories import (
    SCHEMA,
    make_endpoint,
    make_job,
    make_local,
    make_upload,
    make_user,
)

pytestmark = [pytest.mark.db, pytest.mark.django_db]


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
    assert job["progress"] == {"fraction": None, "message": "", "stage": "", "seq": 0}
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
    ("body", "status", "pointer"),
    [
        ({"endpoint": "nope", "input": {"a": 1}}, 422, "#/endpoint"),
        ({"input": {"a": 1}}, 400, "#/endpoint"),
        ({"endpoint": "blur", "input": "text"}, 400, "#/input"),
        ({"endpoint": "blur", "input": {}, "status": "COMPLETED"}, 400, "#/status"),
        ({"endpoint": "blur", "input": {}, "owner": 1}, 400, "#/owner"),
        ({"endpoint": "blur", "input": {}, "priority": "urgent"}, 400, "#/priority"),
        (
            {"endpoint": "blur", "input": {}, "metadata": {"a": "\0"}},
            400,
            "#/metadata/a",
        ),
        ({"endpoint": "b" * 61, "input": {}}, 400, "#/endpoint"),
        ({"endpoint": "blur", "input": {}, "webhook": {"url": 1}}, 400, "#/webhook"),
        (
            {"endpoint": "blur", "input": {"a": 1}, "webhook": "http://10.0.0.1/"},
            422,
            "#/webhook",
        ),
    ],
)
def test_each_wrong_field_is_named(api, body, status, pointer):
    make_endpoint()
    answer = api("post", "/jobs", body)
    assert answer.status_code == status
    assert not Job.objects.exists()
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)


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
