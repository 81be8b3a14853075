"""Webhooks of the local endpoint's clients: rung as RunPod does, outside by the guard."""

import json

import pytest
from django.utils.timezone import now

from jobs.local_endpoint import callbacks
from jobs.models.queue_item import QueueItem

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _near(settings, monkeypatch):
    settings.JOBS_EGRESS_ALLOW = ["127.0.0.0/8"]
    monkeypatch.setattr(callbacks, "PAUSE_SECONDS", 0.01)


def ended(url):
    return QueueItem.objects.create(
        endpoint_slug="local",
        queue="local",
        status="COMPLETED",
        input={"a": 1},
        output={"b": 2},
        has_output=True,
        webhook=url,
        expires_at=now(),
    )


def test_the_item_is_posted_as_status_shows_it(receiver):
    server = receiver()
    item = ended(server.url)
    callbacks.ring(item.pk)
    [(_, body)] = server.got
    assert json.loads(body) == {
        "id": item.pk,
        "status": "COMPLETED",
        "output": {"b": 2},
    }


def test_it_knocks_three_times_and_gives_up(receiver):
    server = receiver(500)
    callbacks.ring(ended(server.url).pk)
    assert len(server.got) == 3


def test_a_private_address_is_not_knocked_at(receiver, settings):
    server = receiver()
    settings.JOBS_EGRESS_ALLOW = []
    callbacks.ring(ended(server.url).pk)
    assert server.got == []


def test_a_redirect_is_not_followed(receiver):
    other = receiver()
    callbacks.ring(ended(receiver((302, {"Location": other.url}, b"")).url).pk)
    assert other.got == []
