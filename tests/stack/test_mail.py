"""Mail that really goes out: a new password for who has forgotten the old one."""

import re

import httpx
import pytest

from tests.smtp import MailServer
from tests.stack.stack import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.one_database]
NEW = "a-Brand-new-1"


@pytest.fixture
def mail_server():
    server = MailServer()
    yield server
    server.stop()


@pytest.fixture
def mailing_stack(installations, mail_server):
    url = f"{mail_server.url}?from=slipway@example.com"
    with installations.running("mailing", EMAIL_URL=url) as running:
        yield running


def submit(client, path, **fields):
    """Open the form at `path` and send it; return where that leads."""
    page = client.get(path)
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    return client.post(page.url, data={"csrfmiddlewaretoken": token, **fields})


def test_a_forgotten_password_is_replaced_by_mail(mailing_stack, mail_server):
    mailing_stack.manage(
        *("shell", "-v", "0", "-c"),
        "from django.contrib.auth.models import User;"
        "User.objects.create_user('alice', 'alice@example.com', 'forgotten-1')",
    )
    with httpx.Client(
        base_url=mailing_stack.url, follow_redirects=True, trust_env=False
    ) as client:
        page = submit(client, "/account/forgotten/", email="alice@example.com")
        assert "a mail is on its way" in page.text
        [sent] = wait_until(lambda: mail_server.received, what="the mail came")
        assert (sent["To"], sent["From"]) == (
            "alice@example.com",
            "slipway@example.com",
        )
        link = re.search(r"http\S+/account/forgotten/\S+", sent.get_content())[0]
        assert link.startswith(mailing_stack.url)
        page = submit(client, link, new_password1=NEW, new_password2=NEW)
        assert "Your new password is set" in page.text
        page = submit(client, "/account/sign-in/", username="alice", password=NEW)
        assert page.url.path == "/"
    assert link.rstrip("/").rpartition("/")[2] not in mailing_stack.printed.read_text()
    for part in ("web", "tasks", "beat"):
        assert link.rstrip("/").rpartition("/")[2] not in mailing_stack.log(part)
