"""Webhooks over the JSON API."""

import pytest

from jobs.models import Delivery, Webhook
from jobs.models.webhook import ALL_TYPES
from jobs.services.notifications import webhooks
from tests.factories import make_job, make_key, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]
URL = "https://example.com/hook"


def test_a_webhook_is_made_read_changed_and_deleted(api):
    made = api("post", "/webhooks", {"url": URL, "events": ["job.failed"]})
    assert made.status_code == 201
    hook = made.json()
    assert hook["secret"].startswith("whsec_")
    path = f"/webhooks/{hook['id']}"
    assert "secret" not in api("get", path).json()
    assert api("get", f"{path}/secret").json() == {"secret": hook["secret"]}
    changed = api("patch", path, {"description": "mine", "events": []}).json()
    assert (changed["description"], changed["events"], changed["url"]) == (
        "mine",
        [],
        URL,
    )
    assert [one["id"] for one in api("get", "/webhooks").json()["data"]] == [hook["id"]]
    assert api("delete", path).status_code == 204
    assert api("get", path).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"url": URL, "events": ["job.exploded"]}, 400),
        ({"url": URL, "secret": "mine"}, 400),
        ({"url": "x" * 2001}, 400),
        ({"url": URL, "description": "x" * 81}, 400),
        ({"url": "http://169.254.169.254/latest"}, 422),
        ({"url": "http://testserver/"}, 422),
        ({"url": "file:///etc/passwd"}, 422),
    ],
)
def test_what_makes_no_sense_is_refused(api, body, status):
    assert api("post", "/webhooks", body).status_code == status
    assert not Webhook.objects.exists()


def test_the_same_request_makes_one_webhook(api):
    both = [api("post", "/webhooks", {"url": URL}, Idempotency_Key="k") for _ in "12"]
    assert both[0].json() == both[1].json()
    assert both[1]["Idempotent-Replayed"] == "true"
    assert Webhook.objects.count() == 1


def test_one_too_many_is_409(api, settings):
    settings.JOBS_USER_WEBHOOKS = 1
    assert api("post", "/webhooks", {"url": URL}).status_code == 201
    assert api("post", "/webhooks", {"url": URL}).json()["code"] == "too_many"


def test_deliveries_are_listed_read_and_replayed(api):
    pk = api("post", "/webhooks", {"url": URL}).json()["id"]
    sent = api("post", f"/webhooks/{pk}/test")
    assert sent.status_code == 202
    delivery = Delivery.objects.get()
    webhooks.heard(delivery, webhooks.Outcome(0.5, 500, "oh no\0", ""))
    Delivery.objects.update(status="failed", due_at=None)
    (listed,) = api("get", f"/webhooks/{pk}/deliveries?status=failed").json()["data"]
    assert listed["tries"][0]["answer"] == "oh no�"
    assert listed["body"]["type"] == "webhook.test"
    assert api("get", f"/webhooks/{pk}/deliveries?status=pending").json()["data"] == []
    path = f"/webhooks/deliveries/{delivery.pk}"
    assert api("get", path).json() == listed
    again = api("post", f"{path}/replay")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    assert again.json()["webhook_id"] == listed["webhook_id"]


def test_a_secret_is_rotated(api):
    hook = api("post", "/webhooks", {"url": URL}).json()
    new = api("post", f"/webhooks/{hook['id']}/rotate-secret").json()["secret"]
    assert new != hook["secret"]
    assert len(Webhook.objects.get().secrets) == 2


def test_the_addresses_that_jobs_name_have_a_secret_and_a_log(api):
    secret = api("get", "/webhooks/jobs/secret").json()["secret"]
    assert secret == api("get", "/webhooks/jobs/secret").json()["secret"]
    job = make_job("IN_PROGRESS", webhook_url=URL)
    assert job.advance("FAILED", by="sync", error_code="worker_error")
    webhooks.announce()
    (listed,) = api("get", "/webhooks/jobs/deliveries").json()["data"]
    assert (listed["job"], listed["url"]) == (str(job.pk), URL)
    assert api("get", "/webhooks").json()["data"] == []
    assert api("get", f"/jobs/{job.pk}").json()["webhook"] == {"url": URL, "events": []}


def test_a_pause_and_a_new_beginning(api):
    pk = api("post", "/webhooks", {"url": URL}).json()["id"]
    paused = api("patch", f"/webhooks/{pk}", {"is_active": False}).json()
    assert (paused["is_active"], paused["disabled_reason"]) == (
        False,
        "You have paused it.",
    )
    active = api("patch", f"/webhooks/{pk}", {"is_active": True}).json()
    assert (active["is_active"], active["disabled_reason"]) == (True, "")


def test_somebody_elses_webhook_is_404(api):
    pk = api("post", "/webhooks", {"url": URL}).json()["id"]
    delivery = api("post", f"/webhooks/{pk}/test").json()["id"]
    bob = make_key(make_user("bob"))
    for verb, path in (
        ("get", f"/webhooks/{pk}"),
        ("patch", f"/webhooks/{pk}"),
        ("delete", f"/webhooks/{pk}"),
        ("post", f"/webhooks/{pk}/test"),
        ("get", f"/webhooks/{pk}/secret"),
        ("post", f"/webhooks/{pk}/rotate-secret"),
        ("get", f"/webhooks/{pk}/deliveries"),
        ("get", f"/webhooks/deliveries/{delivery}"),
        ("post", f"/webhooks/deliveries/{delivery}/replay"),
    ):
        body = {} if verb == "patch" else None
        assert api(verb, path, body, key=bob).status_code == 404, path


def test_a_key_without_the_scope_cannot(api):
    key = make_key(scopes=["jobs:read", "jobs:write"])
    assert api("get", "/webhooks", key=key).status_code == 403


def test_every_type_can_be_subscribed(api):
    made = api("post", "/webhooks", {"url": URL, "events": list(ALL_TYPES)})
    assert made.json()["events"] == list(ALL_TYPES)
