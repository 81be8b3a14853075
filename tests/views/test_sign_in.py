"""Signing in and out: sessions, wrong passwords, addresses to go to."""

import pytest
from django.test import Client

from tests.factories import make_job, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]
PATH = "/account/sign-in/"


def sign_in(client, name="alice", password="alice-password", **extra):
    return client.post(PATH, {"username": name, "password": password}, **extra)


def test_who_signs_in_gets_another_session(client):
    make_user()
    client.get(PATH)
    session = client.session
    session["mark"] = 1
    session.save()
    client.cookies["slipway_session"] = fixed = session.session_key
    assert sign_in(client).status_code == 302
    assert client.cookies["slipway_session"].value != fixed


def test_a_session_is_dead_after_signing_out(client):
    make_user()
    sign_in(client)
    cookie = client.cookies["slipway_session"].value
    client.post("/account/sign-out/")
    thief = Client()
    thief.cookies["slipway_session"] = cookie
    assert thief.get("/jobs/").status_code == 302


@pytest.mark.parametrize("change", ["password", "is_active"])
def test_a_session_is_dead_after_a_new_password_or_a_deactivation(client, change):
    user = make_user()
    sign_in(client)
    assert client.get("/jobs/").status_code == 200
    if change == "password":
        user.set_password("something-else")
    else:
        user.is_active = False
    user.save()
    assert client.get("/jobs/").status_code == 302
    assert client.get("/api/v1/me").status_code == 401


def test_six_wrong_passwords_close_the_door_there_only(client):
    make_user()
    seen = [sign_in(client, password="wrong").status_code for _ in range(7)]
    assert seen == [200] * 5 + [429] * 2
    assert sign_in(client).status_code == 429
    page = sign_in(client).content.decode()
    assert "quarter of an hour" in page
    elsewhere = {"REMOTE_ADDR": "10.9.8.7"}
    assert sign_in(Client(), **elsewhere).status_code == 302


def test_a_spoofed_address_opens_nothing(client):
    make_user()
    for number in range(6):
        heads = {"X-Forwarded-For": f"9.9.9.{number}"}
        sign_in(client, password="wrong", headers=heads)
    heads = {"X-Forwarded-For": "8.8.8.8"}
    assert sign_in(client, headers=heads).status_code == 429


def test_behind_a_proxy_the_address_it_adds_counts(client, settings):
    settings.TRUST_PROXY = True
    make_user()
    for number in range(6):
        heads = {"X-Forwarded-For": f"9.9.9.{number}, 5.5.5.5"}
        sign_in(client, password="wrong", headers=heads)
    assert sign_in(client, headers={"X-Forwarded-For": "5.5.5.5"}).status_code == 429
    assert sign_in(client, headers={"X-Forwarded-For": "5.5.5.6"}).status_code == 302


def test_an_unknown_name_and_a_wrong_password_look_the_same(client):
    make_user()
    pages = [
        sign_in(client, name, "wrong").content.decode().replace(name, "")
        for name in ("alice", "nobody")
    ]
    strip = [page[page.index("<form method") : page.index("</form>")] for page in pages]
    mask = [text[text.index('role="alert"') :] for text in strip]
    assert mask[0] == mask[1]


@pytest.mark.parametrize(
    "target", ["//evil.example", "https:evil.example", "/\\evil.example", "http://x/"]
)
def test_nobody_is_sent_away_after_signing_in(client, target):
    make_user()
    form = {"username": "alice", "password": "alice-password", "next": target}
    assert client.post(PATH, form).url == "/"


def test_one_is_sent_where_one_wanted_to_go(client):
    job = make_job()
    form = {"username": "alice", "password": "alice-password"}
    path = f"/jobs/{job.pk}/"
    assert client.get(path).url == f"{PATH}?next={path}"
    assert client.post(f"{PATH}?next={path}", form).url == path
