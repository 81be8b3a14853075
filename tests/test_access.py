"""Who may do what: every route of the installation, with every verb, for everybody.

The routes come from the URL configuration. A route that is not listed here fails: say
for whom it is.
"""

import re

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver

from jobs import rates
from jobs.models import ApiKey
from jobs.models.api_key import SCOPES
from jobs.services import subscriptions, webhooks
from tests.factories import (
    make_batch,
    make_endpoint,
    make_job,
    make_key,
    make_upload,
    make_user,
)

pytestmark = [pytest.mark.db, pytest.mark.django_db]
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
NO = {401, 403, 404, 405}
GO_AND_SIGN_IN = 302

# Nobody needs to sign in for these; what they tell is told to everybody.
OPEN = {
    "account/sign-in/": {"GET", "HEAD", "POST"},
    "account/sign-out/": {"POST"},
    "account/forgotten/": {"GET", "HEAD", "POST"},
    "account/forgotten/<str:uidb64>/<str:token>/": {"GET", "HEAD", "POST"},
    "healthz": {"GET", "HEAD"},
    "readyz": {"GET", "HEAD"},
    "api/v1/openapi.json": {"GET", "HEAD"},
    "api/v1/docs": {"GET", "HEAD"},
    "admin/login/": {"GET", "HEAD", "POST"},
}
# The address is the secret.
SIGNED = {"files/<str:signed>"}
# They speak for an endpoint, not for a person: tests/local_endpoint has their keys.
KEYED = re.compile(r"^(v2/<slug:slug>/|worker/v1/attempts/<str:attempt_id>/)")
# A person's things: pages (cookie), the API and the upload protocols (cookie or key).
PAGES = {
    "": "",
    "new/<slug:slug>/": "",
    "jobs/": "",
    "jobs/<uuid:job_id>/": "job_id",
    "jobs/<uuid:job_id>/fragment/": "job_id",
    "jobs/<uuid:job_id>/live/": "job_id",
    "jobs/<uuid:job_id>/cancel/": "job_id",
    "jobs/<uuid:job_id>/keep/": "job_id",
    "jobs/<uuid:job_id>/delete/": "job_id",
    "jobs/<uuid:job_id>/outputs/<str:name>": "job_id",
    "batches/": "",
    "batches/new/": "",
    "batches/new/<slug:slug>/": "",
    "batches/<uuid:batch_id>/": "batch_id",
    "batches/<uuid:batch_id>/items/": "batch_id",
    "batches/<uuid:batch_id>/fragment/": "batch_id",
    "batches/<uuid:batch_id>/cancel/": "batch_id",
    "batches/<uuid:batch_id>/retry/": "batch_id",
    "uploads/": "",
    "uploads/<uuid:upload_id>/delete/": "upload_id",
    "account/usage/": "",
    "account/password/": "",
    "account/keys/": "",
    "account/keys/<int:key_id>/revoke/": "key_id",
    "account/webhooks/": "",
    "account/webhooks/<str:name>/": "name",
    "account/webhooks/<str:name>/change/": "name",
    "account/deliveries/<uuid:delivery_id>/replay/": "delivery_id",
}
# Route: (the one scope that opens it, what of it belongs to one person).
API = {
    "api/v1/me": ("", ""),
    "api/v1/jobs": ("jobs", ""),
    "api/v1/jobs/<uuid:job_id>": ("jobs", "job_id"),
    "api/v1/jobs/<uuid:job_id>/cancel": ("jobs:write", "job_id"),
    "api/v1/jobs/<uuid:job_id>/retry": ("jobs:write", "job_id"),
    "api/v1/jobs/<uuid:job_id>/keep": ("jobs:write", "job_id"),
    "api/v1/jobs/<uuid:job_id>/outputs/<name>": ("jobs:read", "job_id"),
    "api/v1/jobs/<uuid:job_id>/events": ("jobs:read", "job_id"),
    "api/v1/batches": ("jobs", ""),
    "api/v1/batches/<uuid:batch_id>": ("jobs:read", "batch_id"),
    "api/v1/batches/<uuid:batch_id>/items": ("jobs:read", "batch_id"),
    "api/v1/batches/<uuid:batch_id>/results.ndjson": ("jobs:read", "batch_id"),
    "api/v1/batches/<uuid:batch_id>/failures.ndjson": ("jobs:read", "batch_id"),
    "api/v1/batches/<uuid:batch_id>/results.zip": ("jobs:read", "batch_id"),
    "api/v1/batches/<uuid:batch_id>/cancel": ("jobs:write", "batch_id"),
    "api/v1/batches/<uuid:batch_id>/retry_failed": ("jobs:write", "batch_id"),
    "api/v1/batch/<slug:slug>": ("jobs", ""),
    "batch/<slug:slug>": ("jobs", ""),
    "api/v1/endpoints": ("endpoints:read", ""),
    "api/v1/endpoints/<slug:slug>": ("endpoints:read", ""),
    "api/v1/endpoints/<slug:slug>/estimate": ("endpoints:read", ""),
    "api/v1/endpoints/<slug:slug>/purge": ("endpoints:admin", "staff"),
    "api/v1/uploads": ("uploads:write", ""),
    "api/v1/uploads/<uuid:upload_id>": ("uploads:write", "upload_id"),
    "api/v1/uploads/<uuid:upload_id>/parts": ("uploads:write", "upload_id"),
    "api/v1/uploads/<uuid:upload_id>/complete": ("uploads:write", "upload_id"),
    "api/v1/webhooks": ("webhooks:admin", ""),
    "api/v1/webhooks/<uuid:webhook_id>": ("webhooks:admin", "webhook_id"),
    "api/v1/webhooks/<uuid:webhook_id>/test": ("webhooks:admin", "webhook_id"),
    "api/v1/webhooks/<webhook_id>/secret": ("webhooks:admin", "webhook_id"),
    "api/v1/webhooks/<webhook_id>/rotate-secret": ("webhooks:admin", "webhook_id"),
    "api/v1/webhooks/<webhook_id>/deliveries": ("webhooks:admin", "webhook_id"),
    "api/v1/webhooks/deliveries/<uuid:delivery_id>": ("webhooks:admin", "delivery_id"),
    "api/v1/webhooks/deliveries/<uuid:delivery_id>/replay": (
        "webhooks:admin",
        "delivery_id",
    ),
    "uploads/tus/": ("uploads:write", ""),
    "uploads/tus/<uuid:upload_id>": ("uploads:write", "upload_id"),
    "uploads/open": ("uploads:write", ""),
    "uploads/s3/multipart": ("uploads:write", ""),
    "uploads/s3/multipart/<uuid:upload_id>": ("uploads:write", "upload_id"),
    "uploads/s3/multipart/<uuid:upload_id>/sign": ("uploads:write", "upload_id"),
    "uploads/s3/multipart/<uuid:upload_id>/complete": ("uploads:write", "upload_id"),
}


# They look the caller up in another thread, which sees only what is committed.
LIVE = {
    "api/v1/jobs/<uuid:job_id>/events",
    "jobs/<uuid:job_id>/live/",
    "api/v1/batches/<uuid:batch_id>/results.ndjson",
    "api/v1/batches/<uuid:batch_id>/failures.ndjson",
    "api/v1/batches/<uuid:batch_id>/results.zip",
}


def each(found):
    committed = pytest.mark.django_db(transaction=True)
    return [pytest.param(r, marks=committed) if r in LIVE else r for r in found]


def routes(resolver=None, prefix=""):
    for entry in (resolver or get_resolver()).url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        else:
            yield path.replace("<uuidstr:", "<uuid:")  # ninja's name for it


ROUTES = sorted(set(routes()))
OURS = [route for route in ROUTES if not route.startswith("admin/")]
PANEL = [route for route in ROUTES if route.startswith("admin/") and route not in OPEN]


@pytest.fixture
def things():
    """Return the things of alice, by the names they have in routes."""
    alice = make_user()
    hook = subscriptions.subscribe(alice, url="https://example.com/", events=[])
    return {
        "job_id": make_job("COMPLETED", owner=alice).pk,
        "upload_id": make_upload(owner=alice).pk,
        "key_id": ApiKey.issue(owner=alice, name="mine")[0].pk,
        "webhook_id": hook.pk,
        "delivery_id": webhooks.send_test(hook).pk,
        "batch_id": make_batch([{"a": 1}], owner=alice).pk,
        "slug": make_endpoint().slug,
        "name": hook.pk,
    }


def address(route, things):
    return "/" + re.sub(
        r"<(?:\w+:)?(\w+)>", lambda m: str(things.get(m[1], "x")), route
    )


SPECIAL = {"keep", "parts", "sign"}  # a body that is right, so that it comes to the row


def ask(client, verb, path, key=""):
    headers = {"Tus-Resumable": "1.0.0"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    name = path.rpartition("/")[2]
    body = {"keep": b'{"kept": true}'}.get(name, b'{"numbers": [1]}')
    return client.generic(
        verb,
        path,
        body if name in SPECIAL else b"{}",
        content_type="application/json",
        headers=headers,
    ).status_code


def statuses(client, path, key="", *verbs):
    return {ask(client, verb, path, key) for verb in verbs or VERBS}


def test_every_route_is_listed():
    listed = {*OPEN, *SIGNED, *PAGES, *API}
    unlisted = [r for r in OURS if r not in listed and not KEYED.match(r)]
    # Ninja's root answers 404 to everybody.
    assert [route for route in unlisted if route != "api/v1/"] == []
    assert {*PAGES, *API} <= set(OURS)


@pytest.mark.parametrize("route", each([*PAGES, *API]))
def test_nobody_comes_in_without_signing_in(client, things, route):
    allowed = {*NO, GO_AND_SIGN_IN} if route in PAGES else NO
    assert statuses(client, address(route, things)) <= allowed


@pytest.mark.parametrize("route", each(list(API)))
def test_keys_that_are_none_or_of_the_deactivated_open_nothing(client, things, route):
    path, gone = address(route, things), make_user("carol")
    key = make_key(gone)
    type(gone).objects.filter(pk=gone.pk).update(is_active=False)
    for wrong in (key, "slipway_00000000_" + "0" * 48):
        rates.forget()
        assert statuses(client, path, wrong) <= NO


@pytest.mark.parametrize("route", each(list(API)))
def test_a_key_opens_only_what_its_scopes_say(client, things, route):
    scope = API[route][0]
    others = [one for one in SCOPES if not one.startswith(scope)]
    key = make_key(scopes=others) if scope else ""
    assert statuses(client, address(route, things), key) <= NO


@pytest.mark.parametrize(
    "route", each([route for route, (scope, _) in API.items() if scope == "jobs"])
)
def test_a_key_that_reads_does_not_write(client, things, route):
    path, key = address(route, things), make_key(scopes=["jobs:read"])
    assert ask(client, "GET", path, key) not in NO
    assert statuses(client, path, key, *VERBS[1:]) <= NO


@pytest.mark.parametrize("route", each([r for r, (_, owned) in API.items() if owned]))
def test_another_persons_key_finds_nothing(client, things, route):
    key = make_key(make_user("bob"))
    assert statuses(client, address(route, things), key) <= {404, 405, 403}


@pytest.mark.parametrize(
    "route", each([route for route, owned in PAGES.items() if owned])
)
def test_another_persons_page_finds_nothing(client, things, route):
    client.force_login(make_user("bob"))
    assert statuses(client, address(route, things)) <= {404, 405}


@pytest.mark.parametrize("route", each([*PAGES, *API]))
def test_a_cookie_changes_nothing_without_its_csrf_token(things, route):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user())
    for origin in ("https://evil.example", "null"):
        browser.defaults["HTTP_ORIGIN"] = origin
        found = statuses(browser, address(route, things), "", *VERBS[2:])
        assert found <= {403, 405}


def test_signing_out_needs_its_csrf_token():
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user())
    assert browser.post("/account/sign-out/").status_code == 403


@pytest.mark.parametrize(
    "route", each([r for r in API if API[r][0] and "slug" not in r])
)
def test_staff_come_in_by_their_own_rights(client, things, route):
    """Staff see every job and upload; webhooks and keys stay their owner's."""
    key = make_key(make_user("boss", is_staff=True))
    expected = {404} if "webhook" in route and API[route][1] else {200, 302, 404, 405}
    assert ask(client, "GET", address(route, things), key) in {*expected, 405, 412}


@pytest.mark.parametrize("route", PANEL)
def test_the_panel_is_for_staff(client, things, route):
    client.force_login(make_user())
    path = re.sub(r"<[^>]*>|\(\?P[^)]*\)[+*]?|[\^$]", "1", f"/{route}")
    assert statuses(client, path) <= {302, 403, 404, 405}


@pytest.mark.parametrize("route", PANEL)
def test_staff_without_permission_see_no_rows(client, things, route):
    client.force_login(make_user("clerk", is_staff=True))
    path = re.sub(r"<[^>]*>", "1", f"/{route}")
    if "/jobs/" in path or "/auth/" in path:
        assert ask(client, "GET", path) in {302, 403, 404, 405}


def test_an_action_of_the_panel_needs_a_post(client, things):
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    key = ApiKey.objects.get(pk=things["key_id"])
    path = "/admin/jobs/apikey/"
    client.get(path, {"action": "revoke", "_selected_action": key.pk})
    key.refresh_from_db()
    assert key.revoked_at is None


def test_no_page_of_the_panel_shows_a_secret(client, things, settings):
    settings.RUNPOD_KEYS = {"": "canary-of-runpod"}
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    endpoint, hook = make_endpoint(), webhooks.Webhook.objects.get()
    secrets = ["canary-of-runpod", endpoint.worker_key, hook.secret]
    for model, pk in (
        ("endpoint", endpoint.pk),
        ("apikey", things["key_id"]),
        ("job", things["job_id"]),
        ("webhook", hook.pk),
    ):
        for path in (f"/admin/jobs/{model}/", f"/admin/jobs/{model}/{pk}/change/"):
            page = client.get(path).content.decode()
            assert not [secret for secret in secrets if secret in page], path
