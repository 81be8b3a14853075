"""The pages of API keys and webhooks."""

import pytest
from django.utils.timezone import now

from jobs.models import ApiKey, Delivery, Webhook
from jobs.services.notifications import webhooks
from tests.factories import make_endpoint, make_user

pytestmark = pytest.mark.django_db
URL = "https://example.com/hook"


@pytest.fixture
def browser(client):
    client.force_login(make_user())
    return client


def new_key(browser, **fields):
    form = {"name": "backup", "scopes": ["jobs:read", "jobs:write"], **fields}
    return browser.post("/account/keys/", form)


def test_a_key_is_shown_once_and_works(browser, client):
    page = new_key(browser)
    assert page["Cache-Control"] == "no-store"
    key = ApiKey.objects.get()
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert key.digest not in page.content.decode()
    again = browser.get("/account/keys/").content.decode()
    assert secret not in again
    assert key.hint in again
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/me", headers=headers).json()["scopes"] == key.scopes


def test_a_key_is_revoked_at_once(browser, client):
    secret = new_key(browser).context["secret"]
    browser.post(f"/account/keys/{ApiKey.objects.get().pk}/revoke/")
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/me", headers=headers).status_code == 401
    assert "backup" not in browser.get("/account/keys/").context["keys"]


def test_a_key_may_be_for_some_endpoints_and_some_days(browser):
    make_endpoint()
    new_key(browser, endpoints=["blur"], lives="7")
    key = ApiKey.objects.get()
    assert key.endpoints == ["blur"]
    assert 6 < (key.expires_at - now()).days + 1 <= 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 81},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"endpoints": ["nope"]},
        {"lives": "-1"},
    ],
)
def test_what_makes_no_sense_is_said_at_the_field(browser, wrong):
    page = new_key(browser, **wrong)
    assert page.status_code == 422
    assert list(page.context["form"].errors) == list(wrong)
    assert not ApiKey.objects.exists()


def test_twenty_keys_are_enough(browser):
    for number in range(20):
        ApiKey.issue(owner=make_user(), name=str(number))
    assert "20 keys already" in new_key(browser).content.decode()


def test_another_persons_key_is_neither_seen_nor_revoked(browser):
    key, _ = ApiKey.issue(owner=make_user("bob"), name="bobs")
    assert "bobs" not in browser.get("/account/keys/").content.decode()
    assert browser.post(f"/account/keys/{key.pk}/revoke/").status_code == 404


def test_a_webhook_is_subscribed_tested_and_its_messages_shown(browser):
    answer = browser.post("/account/webhooks/", {"url": URL, "events": ["job.failed"]})
    hook = Webhook.objects.get()
    assert answer.url == f"/account/webhooks/{hook.pk}/"
    browser.post(f"{answer.url}change/", {"do": "test"})
    delivery = Delivery.objects.get()
    webhooks.heard(delivery, webhooks.Outcome(0.2, 500, "<b>broken</b>"))
    page = browser.get(answer.url).content.decode()
    assert "&lt;b&gt;broken&lt;/b&gt;" in page
    assert hook.secret in page
    assert delivery.message_id in page
    assert URL in browser.get("/account/webhooks/").content.decode()


def test_an_address_we_never_send_to_is_refused_at_its_field(browser):
    page = browser.post("/account/webhooks/", {"url": "http://127.0.0.1:6379/"})
    assert page.status_code == 422
    assert "url" in page.context["form"].errors
    assert not Webhook.objects.exists()


def test_a_webhook_is_paused_resumed_rotated_and_deleted(browser):
    browser.post("/account/webhooks/", {"url": URL})
    hook = Webhook.objects.get()
    path = f"/account/webhooks/{hook.pk}/change/"
    for what, expected in (("pause", False), ("resume", True)):
        browser.post(path, {"do": what})
        hook.refresh_from_db()
        assert hook.is_active is expected
    browser.post(path, {"do": "rotate"})
    hook.refresh_from_db()
    assert hook.secret_version == 2
    browser.post(path, {"do": "nonsense"})
    assert browser.post(path, {"do": "delete"}).url == "/account/webhooks/"
    assert not Webhook.objects.exists()


def test_a_message_is_sent_again_by_its_button(browser):
    browser.post("/account/webhooks/", {"url": URL})
    delivery = webhooks.send_test(Webhook.objects.get())
    Delivery.objects.update(status="failed", due_at=None)
    browser.post(f"/account/deliveries/{delivery.pk}/replay/")
    delivery.refresh_from_db()
    assert (delivery.status, delivery.due_at is not None) == ("pending", True)


def test_the_messages_of_jobs_own_addresses_have_a_page(browser):
    page = browser.get("/account/webhooks/jobs/")
    assert page.status_code == 200
    assert browser.post(
        "/account/webhooks/jobs/change/", {"do": "delete"}
    ).url.endswith("/jobs/")
    assert Webhook.objects.count() == 1
    for name in ("nonsense", "00000000-0000-7000-8000-000000000000"):
        assert browser.get(f"/account/webhooks/{name}/").status_code == 404
