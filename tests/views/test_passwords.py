"""Passwords: forgotten, mailed a link for, chosen anew, changed."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils.timezone import now

from jobs.models import AuditEntry, PasswordReset
from jobs.services.people import passwords
from tests.factories import make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]
PATH = "/account/forgotten/"
NEW = "a-Brand-new-1"


@pytest.fixture(autouse=True)
def with_mail(settings):
    settings.SENDS_MAIL = True


@pytest.fixture
def alice():
    return make_user("alice", email="alice@example.com")


def ask(client, email="alice@example.com", **extra):
    return client.post(PATH, {"email": email}, follow=True, **extra)


def link():
    """Return the path of the one link that was mailed."""
    [sent] = mail.outbox
    return re.search(r"http://testserver(/account/forgotten/\S+)", sent.body)[1]


def choose(client, path, first=NEW, second=NEW):
    form = client.get(path, follow=True)
    url = form.redirect_chain[-1][0] if form.redirect_chain else path
    fields = {"new_password1": first, "new_password2": second}
    return client.post(url, fields, follow=True)


def can_sign_in(password, name="alice"):
    form = {"username": name, "password": password}
    return Client().post("/account/sign-in/", form).status_code == 302


def test_a_forgotten_password_is_chosen_anew_by_a_mailed_link(client, alice):
    page = ask(client)
    assert "a mail is on its way" in page.content.decode()
    assert passwords.send_due() == 1
    assert mail.outbox[0].to == ["alice@example.com"]
    page = choose(client, link())
    assert "Your new password is set" in page.content.decode()
    assert can_sign_in(NEW)
    assert not can_sign_in("alice-password")
    entries = AuditEntry.objects.values_list("action", "target")
    assert set(entries) == {
        ("password_reset_sent", "alice"),
        ("password_reset", "alice"),
    }


def test_b84_an_address_that_nobody_has_gets_the_same_answer(client, alice):
    pages = [
        ask(Client(), email) for email in ("alice@example.com", "nobody@example.com")
    ]
    bodies = [
        re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page.content.decode())
        for page in pages
    ]
    assert bodies[0] == bodies[1]
    assert PasswordReset.objects.count() == 2  # the page itself looks nobody up
    assert passwords.send_due() == 1


def test_b23_the_link_leads_to_us_whatever_host_was_asked(client, alice):
    ask(client, headers={"x-forwarded-host": "evil.example"})
    passwords.send_due()
    assert "evil.example" not in mail.outbox[0].body
    assert link()
    assert (
        client.post(PATH, {"email": "x@y.z"}, headers={"host": "evil"}).status_code
        == 400
    )


def test_a_link_works_once(client, alice):
    ask(client)
    passwords.send_due()
    path = link()
    choose(client, path)
    page = choose(Client(), path, "another-New-2", "another-New-2").content.decode()
    assert "This link no longer works" in page
    assert can_sign_in(NEW)


def test_a_link_works_for_an_hour(client, alice, settings):
    ask(client)
    passwords.send_due()
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "no longer works" in client.get(link(), follow=True).content.decode()


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (NEW, "something-else", "match"),
        ("short", "short", "too short"),
        ("12345678901", "12345678901", "entirely numeric"),
        ("password123", "password123", "too common"),
        ("alice@example", "alice@example", "too similar"),
        ("", "", "required"),
    ],
)
def test_a_password_that_will_not_do_is_refused_at_the_field(
    client, alice, first, second, words
):
    ask(client)
    passwords.send_due()
    page = choose(client, link(), first, second)
    assert page.status_code == 422
    assert words in page.content.decode()
    assert can_sign_in("alice-password")


def test_whoever_was_locked_out_is_let_in_again(client, alice):
    for _ in range(7):
        client.post("/account/sign-in/", {"username": "alice", "password": "wrong"})
    assert not can_sign_in("alice-password")
    ask(client)
    passwords.send_due()
    choose(client, link())
    assert can_sign_in(NEW)


def test_people_who_may_not_sign_in_get_no_mail(client):
    make_user("gone", email="gone@example.com", is_active=False)
    robot = make_user("robot", email="robot@example.com")
    robot.set_unusable_password()
    robot.save()
    for email in ("gone@example.com", "robot@example.com", ""):
        ask(client, email)
    assert passwords.send_due() == 0
    assert mail.outbox == []


def test_nobody_is_flooded_with_mails(client, alice):
    for _ in range(3):
        ask(client)
        passwords.send_due()
    ask(client, "ALICE@example.com")
    passwords.send_due()
    assert len(mail.outbox) == 1
    PasswordReset.objects.update(sent_at=now() - timedelta(minutes=11))
    ask(client)
    passwords.send_due()
    assert len(mail.outbox) == 2


def test_who_asks_too_often_is_told_to_wait(client, alice):
    answers = [ask(client).status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]
    assert ask(client, REMOTE_ADDR="10.9.8.7").status_code == 200


def test_a_mail_that_cannot_be_sent_is_tried_again(client, alice, settings, caplog):
    ask(client)
    backend = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "tests.no_such.Backend"
    assert passwords.send_due() == 0
    assert "alice" not in caplog.text
    settings.EMAIL_BACKEND = backend
    assert passwords.send_due() == 1
    assert passwords.send_due() == 0


def test_wishes_do_not_stay(client, alice):
    PasswordReset.objects.create(
        email="alice@example.com", asked_at=now() - timedelta(days=2)
    )
    late = PasswordReset.objects.create(
        email="alice@example.com", asked_at=now() - timedelta(hours=2)
    )
    assert passwords.send_due() == 0  # too late to be welcome
    assert list(PasswordReset.objects.all()) == [late]


@pytest.mark.parametrize("email", ["", "no address", "a@b", "x" * 300 + "@example.com"])
def test_what_is_no_address_is_said_so_at_the_field(client, email):
    answer = ask(client, email)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert PasswordReset.objects.count() == 0


def test_without_a_mail_server_the_page_says_whom_to_ask(client, settings):
    settings.SENDS_MAIL = False
    page = client.get(PATH).content.decode()
    assert "manage.py changepassword" in page
    assert ask(client).status_code == 200
    assert PasswordReset.objects.count() == 0


def test_a_password_is_changed_by_who_knows_it(client, alice):
    client.force_login(alice)
    elsewhere = Client()
    elsewhere.force_login(alice)
    form = {"old_password": "wrong", "new_password1": NEW, "new_password2": NEW}
    wrong = client.post("/account/password/", form)
    assert wrong.status_code == 422
    assert "incorrectly" in wrong.content.decode()
    form["old_password"] = "alice-password"
    page = client.post("/account/password/", form, follow=True).content.decode()
    assert "Your password is changed" in page
    assert can_sign_in(NEW)
    assert elsewhere.get("/jobs/").status_code == 302
    assert AuditEntry.objects.get().action == "password_changed"
