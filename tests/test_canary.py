"""Secrets are planted everywhere they may come from; they must come out nowhere."""

import logging
from io import StringIO

import pytest
from django.apps import apps
from django.core import mail, serializers
from django.core.management import CommandError, call_command

from jobs.lib.redaction import redacted
from jobs.models import Delivery, Endpoint
from jobs.services.notifications import alert_messages
from jobs.services.operations import alerts, provisioning, sampling
from jobs.services.operations.endpoint_spec import EndpointSpec
from tests.factories import make_endpoint, make_job, make_key, make_user
from tests.fake_account import KEY

pytestmark = [pytest.mark.db, pytest.mark.django_db]
# What an operator gives us, and what RunPod's answers and workers' logs may repeat.
S3, HF, OTHER = (
    "canary-s3-1c9d8e7f",
    "hf_canaryQWERTYUIOPAS",
    "rpa_canary_other_account",
)
VARIABLE = "canary-env-value-5a1b"
CANARIES = (KEY, S3, HF, OTHER, VARIABLE)


@pytest.fixture
def planted(graphql_account, settings):
    settings.RUNPOD_KEYS = {**settings.RUNPOD_KEYS, "OTHER": OTHER}
    settings.S3_KEYS = ("key-id", S3)
    settings.HUGGING_FACE_TOKEN = HF
    settings.ALERT_EMAILS = ["ops@example.com"]
    spec = EndpointSpec("upscale", "you/worker:1", ("ADA_24",), env={"TOKEN": VARIABLE})
    endpoint = provisioning.provision(spec)
    graphql_account.workers[endpoint.runpod_id] = [{"id": "w", "status": "UNHEALTHY"}]
    graphql_account.logs["w"] = [
        f"login with {HF}",
        f"RuntimeError: {KEY} {S3} https://me:{VARIABLE}@git.example/x",
        "worker exited with exit code 1",
    ]
    graphql_account.health[endpoint.runpod_id] = {"workers": {"unhealthy": 1}}
    # The other account's key is refused, by an answer that repeats it.
    other = make_endpoint("other", key_name="OTHER", runpod_id="x")
    for one in (endpoint, other):
        make_job("IN_QUEUE", endpoint=one)
        sampling.sample(one, is_asked=True)
    alerts.open_alert("unhealthy", f"it says {KEY}", f"see {HF}", endpoint=endpoint)
    sampling.sample_accounts()
    alert_messages.tell()
    return endpoint


def pages(endpoint):
    """Return every address of the panel without an argument, and those of an endpoint."""
    paths = ["/", "/jobs/", "/new/upscale/", "/admin/jobs/endpoint/provision/"]
    models = apps.get_app_config("jobs").get_models()
    paths += [f"/admin/jobs/{model._meta.model_name}/" for model in models]
    paths += ["/admin/", "/admin/jobs/endpoint/account/"]
    for row in Endpoint.objects.all():
        paths += [
            f"/admin/jobs/endpoint/{row.pk}/operate/",
            f"/admin/jobs/endpoint/{row.pk}/change/",
            f"/admin/jobs/endpoint/{row.pk}/history/",
        ]
    return paths


def test_no_planted_secret_comes_out_anywhere(planted, client, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    boss = make_user("boss", is_staff=True, is_superuser=True)
    client.force_login(boss)
    out = []
    for path in pages(planted):
        answer = client.get(path)
        assert answer.status_code in {200, 404}, path
        out.append((path, answer.content.decode()))
    for action in ("look", "purge", "pause", "wake", "recreate", "schema"):
        if action == "schema":
            monkeypatch.setattr(
                "jobs.services.operations.worker_schemas.WAIT_SECONDS", 0.1
            )
        url = f"/admin/jobs/endpoint/{planted.pk}/operate/{action}/"
        answer = client.post(url, {}, follow=True)
        out.append((url, answer.content.decode()))
    form = {"image": "you/worker:2", "env": f"MORE={VARIABLE}"}
    url = f"/admin/jobs/endpoint/{planted.pk}/operate/release/"
    out.append((url, client.post(url, form, follow=True).content.decode()))
    bearer = {"Authorization": f"Bearer {make_key(boss)}"}
    for path in ("endpoints", "endpoints/upscale", "endpoints/other", "jobs", "me"):
        answer = client.get(f"/api/v1/{path}", headers=bearer)
        out.append((path, answer.content.decode()))
    for command in (["audit"], ["audit", "--json"], ["doctor", "upscale"], ["doctor"]):
        text = StringIO()
        try:
            call_command(*command, stdout=text, stderr=text)
        except CommandError as error:
            text.write(str(error))
        out.append((" ".join(command), text.getvalue()))
    out.append(("log", caplog.text))
    out += [("mail", message.body + message.subject) for message in mail.outbox]
    out += [
        ("webhook", body) for body in Delivery.objects.values_list("body", flat=True)
    ]
    for model in apps.get_app_config("jobs").get_models():
        rows = serializers.serialize("json", model.objects.all())
        out.append((f"table {model.__name__}", rows))
    leaks = [(where, one) for where, text in out for one in CANARIES if one in text]
    assert leaks == []
    assert len(out) > 50


@pytest.mark.parametrize(
    "text",
    [
        "git clone https://x:ghp_abcdefghijklmnopqrst@github.com/a/b",
        "Authorization: Bearer abc.def-ghi_jkl",
        "AKIAABCDEFGHIJKLMNOP",
        "url?token=s3cr3tvalue&x=1",
        "glpat-abcdefghijklmnop1234",
    ],
)
def test_what_looks_like_a_secret_is_cut_out(text):
    assert "[secret]" in redacted(text)


@pytest.mark.parametrize(
    "text",
    ["CUDA out of memory. Tried to allocate 2.5 GiB", "https://host/a?b=c", "hf_home"],
)
def test_what_does_not_stays(text):
    assert redacted(text) == text
