"""The JSON API of endpoints: health, alerts, purge."""

import pytest
from django.contrib.auth.models import Permission

from jobs.models import Endpoint
from jobs.services.operations import alerts, endpoints
from tests.factories import make_endpoint, make_key, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def call(client, method, path, key):
    headers = {"Authorization": f"Bearer {key}"}
    return getattr(client, method)(f"/api/v1{path}", headers=headers)


@pytest.fixture
def boss():
    user = make_user("boss", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="change_endpoint"))
    return user


def test_an_endpoint_tells_its_troubles(client):
    endpoint = make_endpoint(kind="local")
    alerts.raise_alert(endpoint, "endpoint_not_found")
    answer = call(client, "get", "/endpoints/blur", make_key()).json()
    (alert,) = answer["alerts"]
    assert alert["code"] == "endpoint_not_found"
    assert "recreate" in alert["remedy"]


def test_staff_purge_a_queue(client, boss, runpod, monkeypatch):
    make_endpoint()
    monkeypatch.setattr(endpoints, "client_for", lambda _: runpod.client())
    key = make_key(boss, scopes=["endpoints:admin"])
    answer = call(client, "post", "/endpoints/blur/purge", key)
    assert (answer.status_code, answer.json()) == (200, {"removed": 1})
    assert Endpoint.objects.get().purged_at


def test_a_purge_that_runpod_did_not_take_changes_nothing(
    client, boss, runpod, monkeypatch
):
    make_endpoint()
    runpod.purge_answer = (500, {})
    monkeypatch.setattr(endpoints, "client_for", lambda _: runpod.client())
    key = make_key(boss, scopes=["endpoints:admin"])
    answer = call(client, "post", "/endpoints/blur/purge", key)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_purged")
    assert Endpoint.objects.get().purged_at is None


@pytest.mark.parametrize(
    ("who", "scopes", "status"),
    [
        ("boss", ["jobs:write"], 403),
        ("alice", ["endpoints:admin"], 404),
        ("boss", ["endpoints:admin"], 404),  # no such endpoint
    ],
)
def test_nobody_else_purges(client, boss, who, scopes, status):
    if who == "alice":
        make_endpoint()
    owner = boss if who == "boss" else make_user(who)
    key = make_key(owner, scopes=scopes)
    answer = call(client, "post", "/endpoints/blur/purge", key)
    assert answer.status_code == status
