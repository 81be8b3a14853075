"""The same request twice is one job."""

import json
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils.timezone import now

from jobs.models import IdempotencyKey, Job
from jobs.services.lifecycle import idempotency
from tests.factories import make_endpoint, make_key, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def post(client):
    make_endpoint("echo", contract="plain")
    key = make_key()

    def send(idempotency_key=None, path="/api/v1/jobs", *, secret=key, **input):
        headers = {"Authorization": f"Bearer {secret}"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        body = {"endpoint": "echo", "input": input or {"text": "hi"}}
        return client.post(
            path, json.dumps(body), content_type="application/json", headers=headers
        )

    return send


def test_without_a_key_every_request_is_a_job(post):
    assert post().json()["id"] != post().json()["id"]
    assert not IdempotencyKey.objects.exists()


def test_the_same_request_is_answered_as_the_first_time(post):
    first, again = post("k1"), post("k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert Job.objects.count() == 1


def test_a_quoted_key_is_the_same_key(post):
    assert post("k1").json()["id"] == post('"k1"').json()["id"]


def test_another_request_with_the_key_is_422(post):
    post("k1")
    answer = post("k1", text="other")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "idempotency_mismatch"
    assert Job.objects.count() == 1


def test_a_refused_request_may_be_mended_and_sent_again(post):
    assert post("k1", _slipway=1).status_code == 422
    assert not IdempotencyKey.objects.exists()
    assert post("k1").status_code == 201


def test_keys_of_two_people_are_two_keys(post):
    bob = make_key(make_user("bob"))
    assert post("k1").json()["id"] != post("k1", secret=bob).json()["id"]


def test_running_a_job_again_takes_a_key_too(post):
    id = post().json()["id"]
    path = f"/api/v1/jobs/{id}/retry"
    assert post("k1", path).json()["id"] == post("k1", path).json()["id"]
    assert Job.objects.count() == 2


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "ä", "a\tb"])
def test_b24_a_key_that_is_none_is_400(post, key):
    answer = post(key)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["detail"]
    assert not Job.objects.exists()


def test_while_the_first_one_runs_the_second_is_409(post):
    first = post("k1")
    assert first.status_code == 201
    IdempotencyKey.objects.update(answer=None)
    assert post("k1").status_code == 409


def test_after_a_day_a_key_is_forgotten(post):
    first = post("k1")
    IdempotencyKey.objects.update(created_at=now() - timedelta(hours=25))
    assert post("k1").json()["id"] != first.json()["id"]
    IdempotencyKey.objects.update(created_at=now() - timedelta(hours=25))
    idempotency.sweep()
    assert not IdempotencyKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_p6_twenty_at_once_are_one_job():
    make_endpoint("echo", contract="plain")
    key, answers = make_key(), []
    start = threading.Barrier(20)

    def send():
        try:
            start.wait()
            answer = Client().post(
                "/api/v1/jobs",
                json.dumps({"endpoint": "echo", "input": {"text": "hi"}}),
                content_type="application/json",
                headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "k1"},
            )
            answers.append((answer.status_code, answer.json().get("id")))
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} <= {201, 409}
    assert len({id for status, id in answers if status == 201}) == 1
    assert Job.objects.count() == 1
