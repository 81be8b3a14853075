"""Webhooks of a running installation: they arrive, also when whoever sends them dies."""

import json
import time
import uuid

import pytest

from slipway import webhooks
from tests.receivers import Receiver
from tests.stack.stack import create, until, wait_until

pytestmark = pytest.mark.stack


@pytest.fixture
def listen(stack):
    """Subscribe a receiver; return (API client, receiver, secret)."""
    made = []

    # Somebody of their own: other tests' jobs are not told to them.
    with stack.client(f"listener-{uuid.uuid4().hex[:8]}") as client:

        def subscribe(*answers, events=("job.completed",)):
            server = Receiver(*answers)
            made.append(server)
            url = f"{server.url}/{uuid.uuid4().hex}"
            body = {"url": url, "events": list(events)}
            hook = client.post("/api/v1/webhooks", json=body).json()
            return client, server, hook

        yield subscribe
        for hook in client.get("/api/v1/webhooks").json()["data"]:
            client.delete(f"/api/v1/webhooks/{hook['id']}")
    for server in made:
        server.stop()


@pytest.mark.smoke
def test_the_end_of_a_job_is_told_within_seconds_and_verified(listen):
    client, server, hook = listen()
    pk = create(client, "echo", message="hi")
    wait_until(lambda: server.got, what="the message")
    headers, body = server.got[0]
    event = webhooks.verify(body, headers, hook["secret"])
    assert (event["type"], event["data"]["id"]) == ("job.completed", pk)
    assert event["data"]["output"] == {"message": "hi"}
    assert client.get(event["data"]["urls"]["self"]).json()["status"] == "COMPLETED"


def test_a_job_names_its_own_address(listen):
    client, server, _ = listen()
    body = {
        "endpoint": "echo",
        "input": {"message": "hi"},
        "webhook": {"url": f"{server.url}/own", "events": ["job.started"]},
    }
    pk = client.post("/api/v1/jobs", json=body).json()["id"]
    own = lambda: [  # noqa: E731
        json.loads(b) for _, b in server.got if json.loads(b)["type"] == "job.started"
    ]
    wait_until(own, what="the message")
    assert own()[0]["data"]["id"] == pk


def test_a_message_on_its_way_survives_the_death_of_all_tasks(listen, stack):
    client, server, hook = listen(lambda _: time.sleep(3), 200)
    create(client, "echo", message="hi")
    wait_until(lambda: server.got, what="the first try")
    stack.kill("tasks")
    wait_until(lambda: len(server.got) >= 2, what="another try")
    assert len({headers["webhook-id"] for headers, _ in server.got}) == 1
    path = f"/api/v1/webhooks/{hook['id']}/deliveries?status=delivered"
    wait_until(lambda: client.get(path).json()["data"], what="it is delivered")


def test_a_receiver_that_is_restarted_gets_it_after_all(listen, stack):
    client, _server, hook = listen(503, 503, 200)
    pk = create(client, "echo", message="hi")
    until(client, pk, "COMPLETED")
    path = f"/api/v1/webhooks/{hook['id']}/deliveries"
    [delivery] = wait_until(
        lambda: client.get(f"{path}?status=delivered").json()["data"], 20
    )
    assert [one["status_code"] for one in delivery["tries"]] == [503, 503, 200]


def test_a_receiver_that_is_gone_is_told_nothing_more(listen):
    client, _server, hook = listen(410)
    create(client, "echo", message="hi")
    path = f"/api/v1/webhooks/{hook['id']}"
    wait_until(lambda: not client.get(path).json()["is_active"], what="it is off")
    assert "410" in client.get(path).json()["disabled_reason"]
