"""Batches over the JSON API."""

import json

import pytest

from jobs.models import Batch
from jobs.services.batching import batches
from tests.factories import SCHEMA, make_endpoint, make_key, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def body(count=3, **more):
    return {"endpoint": "blur", "items": [{"n": n} for n in range(count)], **more}


@pytest.fixture(autouse=True)
def _endpoint():
    make_endpoint()


def test_a_batch_is_created_read_and_its_items_listed(api):
    made = api("post", "/batches", body(name="night", metadata={"a": 1}, workers=2))
    assert made.status_code == 201
    batch = made.json()
    assert (batch["status"], batch["total"], batch["workers"]) == ("PENDING", 3, 2)
    batches.feed()
    read = api("get", f"/batches/{batch['id']}").json()
    assert read["counts"] == {
        "waiting": 1,
        "active": 2,
        "completed": 0,
        "failed": 0,
        "cancelled": 0,
        "deleted": 0,
    }
    items = api("get", f"/batches/{batch['id']}/items").json()["data"]
    assert [item["batch_index"] for item in items] == [1, 0]
    assert {item["batch"] for item in items} == {batch["id"]}
    jobs = api("get", f"/jobs?batch={batch['id']}").json()["data"]
    assert len(jobs) == 2
    assert [one["id"] for one in api("get", "/batches").json()["data"]] == [batch["id"]]


@pytest.mark.parametrize(
    ("sent", "status", "pointer"),
    [
        (body(0), 400, "#/items"),
        (body(5), 413, ""),
        ({"endpoint": "nope", "items": [{"a": 1}]}, 422, "#/endpoint"),
        ({"endpoint": "blur", "items": [{"a": 1}, 5]}, 422, "#/items/1"),
        ({"endpoint": "blur", "items": [{}]}, 422, "#/items/0"),
        (body(workers=0), 400, "#/workers"),
        (body(status="COMPLETED"), 400, "#/status"),
    ],
)
def test_b26_all_or_nothing_with_the_place(api, settings, sent, status, pointer):
    settings.JOBS_BATCH_MAX_ITEMS = 4
    make_endpoint().__class__.objects.update(contract="plain")
    assert api("post", "/batches", body(4)).status_code == 201
    answer = api("post", "/batches", sent)
    assert answer.status_code == status, answer.content
    errors = answer.json().get("errors", [{"pointer": ""}])
    assert errors[0]["pointer"].startswith(pointer)
    assert Batch.objects.count() == 1


def test_a_dry_run_checks_and_creates_nothing(api):
    make_endpoint("strict", input_schema=SCHEMA)
    plan = api("post", "/batches?dry_run=true", body())
    assert (plan.status_code, plan.json()["total"]) == (200, 3)
    wrong = {"endpoint": "strict", "items": [{}]}
    assert api("post", "/batches?dry_run=true", wrong).status_code == 422
    assert not Batch.objects.exists()


def test_the_same_request_is_one_batch(api):
    both = [api("post", "/batches", body(), Idempotency_Key="k").json() for _ in "12"]
    assert both[0] == both[1]
    assert Batch.objects.count() == 1


def test_a_batch_is_cancelled_and_run_again(api):
    pk = api("post", "/batches", body(workers=1)).json()["id"]
    batches.feed()
    answer = api("post", f"/batches/{pk}/cancel")
    assert (answer.status_code, answer.json()["cancel_requested"]) == (202, True)
    batches.feed()
    assert api("get", f"/batches/{pk}").json()["status"] == "CANCELLED"
    assert api("post", f"/batches/{pk}/retry_failed").json() == {"retried": 1}
    assert api("get", f"/batches/{pk}").json()["status"] == "RUNNING"


def test_somebody_elses_batch_is_404_and_other_endpoints_are_closed(api):
    pk = api("post", "/batches", body()).json()["id"]
    bob = make_key(make_user("bob"))
    assert api("get", f"/batches/{pk}", key=bob).status_code == 404
    assert api("get", "/batches", key=bob).json()["data"] == []
    elsewhere = make_key(endpoints=["other"])
    assert api("get", f"/batches/{pk}", key=elsewhere).status_code == 404
    assert api("post", "/batches", body(), key=elsewhere).status_code == 422


def test_a_list_takes_a_constant_number_of_queries(api, django_assert_max_num_queries):
    for _ in range(15):
        api("post", "/batches", body())
    with django_assert_max_num_queries(4):
        assert len(api("get", "/batches").json()["data"]) == 15


def test_many_items_fit_in_a_request(api):
    sent = {"endpoint": "blur", "items": [{"text": "x" * 300} for _ in range(5000)]}
    assert len(json.dumps(sent)) > 1_500_000
    assert api("post", "/batches", sent).json()["total"] == 5000
