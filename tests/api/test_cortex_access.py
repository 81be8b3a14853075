"""Who may call Cortex's Batch API, and how."""

import base64
import json

import pytest

from jobs.models import ApiKey, Batch
from tests.factories import make_endpoint, make_key, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]
JOB = {"workers": 1, "item_list": {"items": [1, 2], "batch_size": 1}}


@pytest.fixture(autouse=True)
def endpoint():
    return make_endpoint("classifier")


def submit(client, authorization):
    return client.post(
        "/batch/classifier",
        json.dumps(JOB),
        content_type="application/json",
        headers={"authorization": authorization},
    )


def test_a_program_that_cannot_be_changed_has_its_key_in_the_address(client):
    key = make_key()
    for credentials in (f"x:{key}", f"{key}:"):
        basic = base64.b64encode(credentials.encode()).decode()
        answer = submit(client, f"Basic {basic}")
        assert answer.status_code == 200, answer.content


@pytest.mark.parametrize("header", ["", "Basic !!!", "Basic eDp5", "Bearer nope"])
def test_without_a_key_nothing_is_said(client, header):
    headers = {"authorization": header} if header else {}
    answer = client.get("/batch/classifier?jobID=x", headers=headers)
    assert answer.status_code == 401
    assert set(answer.json()) == {"kind", "message"}


def test_a_key_that_may_only_read_submits_nothing(client):
    key = ApiKey.issue(owner=make_user(), name="r", scopes=["jobs:read"])[1]
    answer = submit(client, f"Bearer {key}")
    assert (answer.status_code, Batch.objects.count()) == (403, 0)


def test_nobody_sees_the_jobs_of_others(client):
    job = submit(client, f"Bearer {make_key()}").json()
    answer = client.get(
        f"/batch/classifier?jobID={job['job_id']}",
        headers={"authorization": f"Bearer {make_key(make_user('bob'))}"},
    )
    assert answer.status_code == 404


@pytest.mark.parametrize("method", ["put", "patch", "head"])
def test_another_method_is_told_which_there_are(client, method):
    answer = getattr(client, method)("/batch/classifier")
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, POST, DELETE"
