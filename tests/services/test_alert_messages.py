"""Operators hear of alerts: once when they open, once when they are over."""

import json

import pytest
from django.core import mail

from jobs.models import Alert, Delivery, Webhook
from jobs.services.notifications import alert_messages
from jobs.services.operations import alerts
from tests.factories import make_endpoint, make_user
from webapp import env

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _boss(settings):
    settings.ALERT_EMAILS = ["ops@example.com"]
    boss = make_user("boss", is_staff=True)
    Webhook.objects.create(owner=boss, url="https://ops.example.com/hook")
    Webhook.objects.create(owner=make_user(), url="https://users.example.com/hook")


def test_an_alert_is_told_once_and_once_more_when_it_is_over():
    endpoint = make_endpoint()
    alerts.raise_alert(endpoint, "key_refused")
    assert (alert_messages.tell(), alert_messages.tell()) == (1, 0)
    [sent] = mail.outbox
    assert sent.to == ["ops@example.com"]
    assert sent.subject == "[Slipway] Blur: key_refused"
    assert "Set a valid key" in sent.body
    [message] = Delivery.objects.all()
    assert message.url == "https://ops.example.com/hook"
    event = json.loads(message.body)
    assert (event["type"], event["data"]["endpoint"]) == ("alert.raised", "blur")
    alerts.resolve(endpoint)
    assert (alert_messages.tell(), alert_messages.tell()) == (1, 0)
    assert mail.outbox[1].subject == "[Slipway] Over: Blur: key_refused"
    assert Delivery.objects.filter(event_type="alert.resolved").count() == 1


def test_a_mail_that_does_not_go_out_is_tried_again_without_a_second_message(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    alerts.raise_alert(make_endpoint(), "no_answers")
    for _ in range(Alert.MAIL_TRIES + 3):
        assert alert_messages.tell() == 0
    alert = Alert.objects.get()
    assert (alert.mail_tries, bool(alert.told_at)) == (Alert.MAIL_TRIES, True)
    assert Delivery.objects.count() == 1


def test_without_an_address_only_webhooks_are_told(settings):
    settings.ALERT_EMAILS = []
    alerts.open_alert("balance_low", "Low.", "Top up.", subject="RUNPOD_API_KEY")
    alert_messages.tell()
    assert mail.outbox == []
    assert (
        json.loads(Delivery.objects.get().body)["data"]["subject"] == "RUNPOD_API_KEY"
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://me%40x.test:p%2Fw@mail.test", (587, True, False, "me@x.test", "p/w")),
        ("smtps://mail.test?from=a@x.test", (465, False, True, "a@x.test", "")),
        ("smtp+plain://mail.test:2525", (2525, False, False, "slipway", "")),
    ],
)
def test_one_url_says_how_mail_is_sent(monkeypatch, url, expected):
    monkeypatch.setenv("EMAIL_URL", url)
    settings = env.email("EMAIL_URL")
    names = ("EMAIL_PORT", "EMAIL_USE_TLS", "EMAIL_USE_SSL", "DEFAULT_FROM_EMAIL")
    assert (
        *(settings[name] for name in names),
        settings["EMAIL_HOST_PASSWORD"],
    ) == expected


def test_a_wrong_url_is_refused_without_its_password(monkeypatch):
    monkeypatch.setenv("EMAIL_URL", "http://me:hunter2@mail.test")
    with pytest.raises(env.BadEnvironment, match="smtp://") as caught:
        env.email("EMAIL_URL")
    assert "hunter2" not in str(caught.value)
