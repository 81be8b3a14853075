"""Signed addresses and tokens: each opens one thing, for one purpose, for a while."""

import base64
from datetime import timedelta

import pytest

from jobs.lib import links
from jobs.models import Artifact, Attempt
from tests.access import asking
from tests.access.cases import check_let_in, ids
from tests.access.rows_signed import FILES, HANDLER, HOOKS, OUTPUTS
from tests.access.things import HOUR
from tests.factories import make_job

PURPOSES = [links.FILE, links.OUTPUT, links.ATTEMPT, links.DOORBELL]
OVER = timedelta(seconds=-2)
NEVER = "0" * 32
BY_ADDRESS = [
    *((row, links.FILE, 403) for row in FILES),
    *((row, links.OUTPUT, 403) for row in OUTPUTS),
    *((row, links.DOORBELL, 404) for row in HOOKS),
]


def value_in(signed, purpose):
    """Return what a good address says, to sign it again in other ways."""
    return links.read(purpose, signed)


def good_in(path):
    return path.rpartition("/")[2]


def wrong(good, purpose):
    """Return what looks like `good` and must open nothing, by name."""
    value = value_in(good, purpose)
    body, _, signature = good.rpartition(":")
    others = [one for one in PURPOSES if one != purpose]
    return {
        "nothing": "x",
        "expired": links.sign(purpose, value, lives=OVER),
        "cut": good[:-1],
        "unsigned": body,
        "of another value": f"{body.replace(value, value[::-1])}:{signature}",
        "for longer": f"{value}.99999999999:{signature}",
        **{f"for {other}": links.sign(other, value, lives=HOUR) for other in others},
    }


WRONG = ["nothing", "expired", "cut", "unsigned", "of another value", "for longer"]


def names(purpose):
    return [*WRONG, *(f"for {other}" for other in PURPOSES if other != purpose)]


ADDRESSES = [
    pytest.param(row, purpose, status, name, id=f"{name}, {row.key}")
    for row, purpose, status in BY_ADDRESS
    for name in names(purpose)
]


@pytest.mark.parametrize(("row", "purpose", "status", "name"), ADDRESSES)
def test_a_wrong_address_opens_nothing(world, row, purpose, status, name):
    good = row.path(world.things["alice"])
    path = good.replace(good_in(good), wrong(good_in(good), purpose)[name])
    world.watch()
    # Neither does it help to be the owner.
    for who in ("nobody", "the owner's key", "the owner's cookie"):
        caller = world.callers[who]
        answer = row.send(world.runner, caller, world.things["alice"], path)
        assert answer.status == status
    assert world.changed() == set()


@pytest.mark.parametrize("row", [*FILES, *OUTPUTS, *HOOKS], ids=ids)
def test_a_good_address_needs_no_more(world, row):
    answer = check_let_in(world, row, asking.Caller(), world.fresh(row))
    assert bool(answer.body) is (row.verb in {"GET", "PUT"})


@pytest.mark.parametrize("kind", ["upload", "artifact", "attempt"])
@pytest.mark.parametrize("row", FILES, ids=ids)
def test_a_file_that_is_not_there_is_404(world, row, kind):
    signed = links.sign(links.FILE, f"{kind}.{NEVER}", lives=HOUR)
    answer = row.send(world.runner, asking.ANYBODY, None, f"/files/{signed}")
    assert answer.status == 404


@pytest.mark.parametrize("row", FILES, ids=ids)
def test_a_file_that_has_not_arrived_is_404(world, row):
    unfinished = world.things["alice"].unfinished_id.hex
    signed = links.sign(links.FILE, f"upload.{unfinished}", lives=HOUR)
    answer = row.send(world.runner, asking.ANYBODY, None, f"/files/{signed}")
    assert answer.status == 404


def test_an_output_of_no_attempt_is_404(world):
    about = base64.urlsafe_b64encode(b'["a", "text/plain"]').decode().rstrip("=")
    signed = links.sign(links.OUTPUT, f"{NEVER}.{about}", lives=HOUR)
    path = f"/worker/v1/outputs/{signed}"
    answer = OUTPUTS[0].send(world.runner, asking.ANYBODY, None, path)
    assert answer.status == 404


def test_an_output_after_the_result_is_409(world):
    things = world.fresh(OUTPUTS[0])
    Attempt.objects.filter(pk=things.attempt.pk).update(manifest={"files": []})
    answer = OUTPUTS[0].send(world.runner, asking.ANYBODY, things)
    assert answer.status == 409
    assert not Artifact.objects.filter(attempt=things.attempt).exists()


def test_a_ring_for_no_attempt_is_404(world):
    signed = links.sign(links.DOORBELL, NEVER, lives=HOUR)
    path = f"/hooks/runpod/{signed}"
    assert HOOKS[0].send(world.runner, asking.ANYBODY, None, path).status == 404


# --- our own handler ------------------------------------------------------------------
STRANGERS = (
    *("nobody", "the owner's key", "root's key", "the owner's cookie"),
    *("root's cookie", "a worker's key", "a local client's key"),
)
TOKENS = [*names(links.ATTEMPT), "of another attempt"]


def token(value, lives=HOUR):
    return links.sign(links.ATTEMPT, value, lives=lives)


def wrong_token(world, name):
    if name == "of another attempt":
        return token(world.things["root"].attempt_id)
    return wrong(token(world.things["alice"].attempt_id), links.ATTEMPT)[name]


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("row", HANDLER, ids=ids)
def test_a_wrong_token_opens_nothing(world, row, name):
    caller = asking.with_key(wrong_token(world, name))
    world.watch()
    answer = row.send(world.runner, caller, world.things["alice"])
    assert answer.status == 401
    assert world.changed() == set()


@pytest.mark.parametrize("who", STRANGERS)
@pytest.mark.parametrize("row", HANDLER, ids=ids)
def test_whoever_has_no_token_is_refused(world, row, who):
    world.watch()
    answer = row.send(world.runner, world.callers[who], world.things["alice"])
    assert answer.status == 401
    assert world.changed() == set()


@pytest.mark.parametrize("row", HANDLER, ids=ids)
def test_the_attempts_token_is_let_in(world, row):
    things = world.fresh(row)
    check_let_in(world, row, asking.with_key(token(things.attempt_id)), things)


@pytest.mark.parametrize("row", HANDLER, ids=ids)
def test_the_token_of_no_attempt_is_404(world, row):
    path = row.path(world.things["alice"])
    path = path.replace(world.things["alice"].attempt_id, NEVER)
    caller = asking.with_key(token(NEVER))
    answer = row.send(world.runner, caller, world.things["alice"], path)
    assert answer.status == 404


@pytest.mark.parametrize(
    "row", [r for r in HANDLER if r.route.endswith(("claim", "/inputs"))], ids=ids
)
def test_a_token_opens_no_files_when_its_attempt_is_over(world, row):
    things = world.fresh(row)
    ended = {"owner": things.owner, "endpoint": things.endpoint, "runpod_id": ""}
    things.attempt = make_job("COMPLETED", **ended).attempts.get()
    caller = asking.with_key(token(things.attempt_id))
    assert row.send(world.runner, caller, things).status == 409
