"""Requests made from the OpenAPI document: every answer is one that it promises.

Identifiers are those of real things half of the time, so that requests get beyond 404.
"""

import os

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from jobs.lib import rates
from jobs.services.notifications import subscriptions, webhooks
from tests.factories import (
    make_batch,
    make_endpoint,
    make_job,
    make_key,
    make_upload,
    make_user,
)

pytestmark = pytest.mark.django_db
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "15"))
# 422: it fits the document, but names nothing here, or not what an endpoint takes.
# 413: larger than this installation takes.
STATUSES = ["2xx", "3xx", 401, 403, 404, 409, 413, 422, 503]
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {"positive_data_acceptance": {"expected-statuses": STATUSES}},
        # No text may contain NUL, which no schema can say of all of them.
        "generation": {"deterministic": True, "allow-x00": False},
    }
)
schema = schemathesis.openapi.from_wsgi(
    "/api/v1/openapi.json", get_wsgi_application(), config=CONFIG
)


@pytest.fixture(autouse=True)
def _one_connection():
    """Stay in the test's transaction, as Django's own client does."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def real():
    """One thing of each kind, and a user's key."""
    alice = make_user(is_staff=True)
    hook = subscriptions.subscribe(alice, url="https://example.com/", events=[])
    return {
        "job_id": str(make_job("COMPLETED", owner=alice).pk),
        "upload_id": str(make_upload(owner=alice).pk),
        "webhook_id": str(hook.pk),
        "delivery_id": str(webhooks.send_test(hook).pk),
        "batch_id": str(make_batch([{"a": 1}], owner=alice).pk),
        "slug": make_endpoint().slug,
    }


def send(case, real, number, **headers):
    """Send a request, with real names in every second of those that fit."""
    rates.forget()
    is_fit = case.meta is None or case.meta.generation.mode.is_positive
    # A stream does not come through WSGI; tests/api/test_events.py reads it.
    if is_fit and number % 2 and not case.path.endswith("/events"):
        case.path_parameters = {
            name: real.get(name, value) for name, value in case.path_parameters.items()
        }
        is_creating = case.path.endswith(("/jobs", "/batches"))
        if is_creating and case.method == "POST":
            case.body = {**case.body, "endpoint": real["slug"]}
    case.call_and_validate(headers=headers)


@pytest.mark.db
@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_with_a_key_every_answer_is_as_promised(case, real, count):
    send(case, real, next(count), Authorization=f"Bearer {count.key}")


# Without the hundred edge cases of each request: none gets that far.
@schema.parametrize()
@settings(
    max_examples=3,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_without_a_key_every_answer_is_401_or_400(case, real, count):
    send(case, real, next(count), Authorization="Bearer nonsense")
    assert case.call(headers={"Authorization": ""}).status_code in {400, 401, 404, 405}


@pytest.fixture
def count():
    """Count up, and hold a key."""

    class Count:
        key, now = make_key(), 0

        def __next__(self):
            self.now += 1
            return self.now

    return Count()
