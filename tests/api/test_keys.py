"""Who may call the JSON API."""

from io import StringIO

import pytest
from django.utils.timezone import now

from jobs.lib import rates
from jobs.models import ApiKey
from tests.factories import make_job, make_key, make_local, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.mark.parametrize("key", [None, "wrong", "slipway_00000000_" + "0" * 48])
def test_without_a_valid_key_401(api, key):
    answer = api("get", "/jobs", key=key)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"


def test_a_revoked_key_or_an_inactive_owner_is_401(api):
    assert api("get", "/me").status_code == 200
    ApiKey.objects.update(revoked_at=now())
    assert api("get", "/me").status_code == 401
    other = make_key(make_user("carol"))
    type(make_user("carol")).objects.filter(username="carol").update(is_active=False)
    assert api("get", "/me", key=other).status_code == 401


def test_a_key_without_the_scope_is_403(api):
    key = make_key(scopes=["endpoints:read"])
    assert api("get", "/jobs", key=key).status_code == 403
    assert (
        api("post", "/jobs", {"endpoint": "x", "input": {}}, key=key).status_code == 403
    )
    assert api("get", "/endpoints", key=key).status_code == 200


def test_a_session_needs_a_csrf_token_to_change_anything():
    from django.test import Client  # noqa: PLC0415

    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user())
    assert browser.get("/api/v1/me").json()["username"] == "alice"
    answer = browser.post("/api/v1/jobs", data="{}", content_type="application/json")
    assert answer.status_code in {401, 403}


def test_wrong_ways_to_send_a_key_are_401(client):
    key = make_key()
    for header in (f"Basic {key}", key, f"Bearer {key}, Bearer {key}", "Bearer"):
        answer = client.get("/api/v1/me", headers={"Authorization": header})
        assert answer.status_code == 401, header
    for wrong in (key[:-1], key[:-1] + "x", key + "x", "\xe4\xf6", "a\0b"):
        headers = {"Authorization": f"Bearer {wrong}"}
        assert client.get("/api/v1/me", headers=headers).status_code == 401
    assert client.get(f"/api/v1/me?api_key={key}&token={key}").status_code == 401


def test_an_expired_key_is_401(api):
    ApiKey.objects.update(expires_at=now())
    assert api("get", "/me").status_code == 401


def test_a_key_that_is_sent_makes_the_cookie_count_for_nothing(client):
    client.force_login(make_user())
    headers = {"Authorization": "Bearer nonsense"}
    assert client.get("/api/v1/me", headers=headers).status_code == 401


def test_a_key_for_one_endpoint_sees_and_does_nothing_elsewhere(api):
    key = make_key(endpoints=["blur"])
    mine, other = make_job(), make_job(endpoint=make_local("other"))
    assert api("get", f"/jobs/{mine.pk}", key=key).status_code == 200
    assert api("get", f"/jobs/{other.pk}", key=key).status_code == 404
    assert len(api("get", "/jobs", key=key).json()["data"]) == 1
    body = {"endpoint": "other", "input": {"a": 1}}
    assert api("post", "/jobs", body, key=key).status_code == 422
    assert api("get", "/endpoints/other", key=key).status_code == 404
    slugs = [one["slug"] for one in api("get", "/endpoints", key=key).json()["data"]]
    assert slugs == ["blur"]


def test_a_key_for_one_endpoint_cannot_use_the_local_protocol_elsewhere(client):
    make_local("other")
    key = make_key(endpoints=["blur"])
    answer = client.get("/v2/other/health", headers={"Authorization": key})
    assert answer.status_code == 401


def test_every_answer_says_what_is_left_of_the_limit(api, settings):
    settings.JOBS_API_READS_PER_MINUTE = 3
    answer = api("get", "/me")
    assert answer["RateLimit-Policy"] == '"reads";q=3;w=60'
    assert answer["RateLimit"].startswith('"reads";r=2;t=')
    assert [api("get", "/me").status_code for _ in range(3)] == [200, 200, 429]
    over = api("get", "/me")
    assert over.json()["code"] == "rate_limited"
    assert 1 <= int(over["Retry-After"]) <= 120
    other = make_key(make_user("bob"))
    assert api("get", "/me", key=other).status_code == 200


def test_a_key_may_have_its_own_limit(api, settings):
    settings.JOBS_API_READS_PER_MINUTE = 1
    few, free = make_key(requests_per_minute=2), make_key(requests_per_minute=0)
    assert [api("get", "/me", key=few).status_code for _ in range(3)] == [200, 200, 429]
    assert {api("get", "/me", key=free).status_code for _ in range(9)} == {200}


def test_who_guesses_keys_is_held_up_and_nobody_else(api, settings):
    settings.JOBS_API_BAD_KEYS_PER_MINUTE = 10
    seen = [api("get", "/me", key=f"guess-{n}").status_code for n in range(30)]
    assert seen == [401] * 10 + [429] * 20
    assert api("get", "/me").status_code == 200
    rates.forget()


def test_a_spoofed_address_gives_no_new_guesses(api, settings):
    settings.JOBS_API_BAD_KEYS_PER_MINUTE = 2
    seen = [
        api("get", "/me", key="guess", X_Forwarded_For=f"9.9.9.{n}").status_code
        for n in range(4)
    ]
    assert seen == [401, 401, 429, 429]


def test_when_a_key_was_used_is_known(api):
    api("get", "/me")
    assert ApiKey.objects.get().last_used_at is not None


def test_no_origin_gets_leave_to_read(api):
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = api("get", "/me", **headers)
        assert "Access-Control-Allow-Origin" not in answer


def test_the_command_makes_a_key_for_some_endpoints(client):
    from django.core.management import CommandError, call_command  # noqa: PLC0415

    make_user()
    make_local("gpu")
    printed = StringIO()
    call_command("create_api_key", "alice", "--endpoints", "gpu", stdout=printed)
    headers = {"Authorization": f"Bearer {printed.getvalue().strip()}"}
    assert client.get("/api/v1/me", headers=headers).json()["endpoints"] == ["gpu"]
    with pytest.raises(CommandError, match="nope"):
        call_command("create_api_key", "alice", "--endpoints", "nope")


def test_the_panel_issues_a_key_with_its_limits(client):
    root = make_user("root", is_staff=True, is_superuser=True)
    client.force_login(root)
    form = {
        "owner": root.pk,
        "name": "panel",
        "scopes": '["jobs:read"]',
        "endpoints": '["blur"]',
        "requests_per_minute": "7",
    }
    page = client.post("/admin/jobs/apikey/add/", form, follow=True)
    key = ApiKey.objects.get(name="panel")
    assert (key.endpoints, key.requests_per_minute) == (["blur"], 7)
    assert f"{key.hint}_" in page.content.decode()
