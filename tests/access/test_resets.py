"""The link that a person gets who has forgotten the password: theirs, once."""

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from tests.access import asking
from tests.factories import make_user

FORM = [("new_password1", "another-long-one"), ("new_password2", "another-long-one")]


def link(user, token=""):
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = token or default_token_generator.make_token(user)
    return f"/account/forgotten/{uid}/{token}/"


def choose(world, path):
    """Open a link and choose a password, as a browser does; return the last answer."""
    opened = asking.ask(world.runner, asking.ANYBODY, "GET", path)
    if opened.status != 302:
        return opened
    session = opened.cookies[asking.SESSION_COOKIE]
    kind, body = asking.encoded(FORM)
    browser = asking.with_cookie(session)
    where = opened.headers["location"]
    return asking.ask(world.runner, browser, "POST", where, body=body, kind=kind)


def has_changed(user):
    return User.objects.get(pk=user.pk).check_password("another-long-one")


@pytest.fixture
def dora(world):
    return make_user(f"dora-{world.number()}")


def test_the_link_lets_its_owner_choose_once(world, dora):
    path = link(dora)
    assert choose(world, path).status == 302
    assert has_changed(dora)
    assert choose(world, path).status == 200


@pytest.mark.parametrize("what", ["made up", "another's", "used"])
def test_no_other_link_changes_a_password(world, dora, what):
    path = {
        "made up": link(dora, "abc123-" + "0" * 32),
        "another's": link(dora, default_token_generator.make_token(world.bob)),
        "used": link(dora),
    }[what]
    if what == "used":
        dora.set_password("a-newer-one")
        dora.save()
    assert choose(world, path).status == 200
    assert not has_changed(dora)
    # Nor by going straight to the form.
    straight = path.replace(path.split("/")[4], "set-password")
    kind, body = asking.encoded(FORM)
    asking.ask(world.runner, asking.ANYBODY, "POST", straight, body=body, kind=kind)
    assert not has_changed(dora)
