"""Pages, API and uploads: each request by its owner, and by everybody else."""

import pytest

from tests.access.cases import (
    FORGED,
    UNKNOWN,
    cases,
    check_let_in,
    check_refused,
    ids,
    unsafe,
)
from tests.access.rows_api import API, RAW_UPLOADS, UPLOADS
from tests.access.rows_pages import OPEN, PAGES

KEYED = [*API, *UPLOADS, *RAW_UPLOADS]
EACH = [*PAGES, *KEYED]
OWNED = [row for row in EACH if row.is_owned]
OTHERS_SECRETS = ("a worker's key", "a local client's key")


def without_leave(row):
    """Return what a page answers to who is not signed in: the way to the sign-in."""
    return 404 if row.route.endswith("/live/") else 302


REFUSED = [
    *cases(KEYED, *UNKNOWN, *OTHERS_SECRETS, "a key in another scheme", status=401),
    *cases(PAGES, *UNKNOWN, "the owner's key", status=without_leave),
    *cases(unsafe([*EACH, *OPEN]), *FORGED, status=403),
    *cases(OWNED, "another person's cookie", status=404),
    *cases([row for row in OWNED if row in KEYED], "another person's key", status=404),
    *(
        case
        for row in KEYED
        if row.scope
        for case in cases([row], f"a key without {row.scope}", status=403)
    ),
    *cases(KEYED, "a key for other endpoints", status=lambda row: row.limited),
]


@pytest.mark.parametrize(("row", "who", "status"), REFUSED)
def test_who_may_not_is_refused_and_nothing_changes(world, row, who, status):
    check_refused(world, row, who, status)


@pytest.mark.parametrize("row", EACH, ids=ids)
def test_the_owners_cookie_is_let_in(world, row):
    things = world.fresh(row)
    check_let_in(world, row, world.cookie_of(things), things)


@pytest.mark.parametrize("row", KEYED, ids=ids)
def test_a_key_for_that_alone_is_let_in(world, row):
    things = world.fresh(row)
    check_let_in(world, row, world.exact_key_of(things, row), things)


# --- lists ----------------------------------------------------------------------------
# Request: (what it lists, whether a key's endpoints matter).
LISTS = {
    "GET ": ("job_id", True),
    "GET jobs/": ("job_id", True),
    "GET batches/": ("batch_id", True),
    "GET uploads/": ("upload_id", False),
    "GET account/keys/": ("key_id", False),
    "GET account/webhooks/": ("webhook_id", False),
    "GET api/v1/jobs": ("job_id", True),
    "GET api/v1/batches": ("batch_id", True),
    "GET api/v1/endpoints": ("slug", True),
    "GET api/v1/webhooks": ("webhook_id", False),
}
LISTING = [row for row in EACH if row.key in LISTS]


def shown(world, row, caller, things):
    answer = row.send(world.runner, caller, things)
    assert answer.status == row.status
    named = str(getattr(things, LISTS[row.key][0]))
    return (f"/keys/{named}/" if "keys" in row.route else named) in answer.text


@pytest.mark.parametrize("row", LISTING, ids=ids)
def test_a_list_shows_its_owners_things(world, row):
    things = world.fresh(row)
    getattr(things, LISTS[row.key][0])
    assert shown(world, row, world.cookie_of(things), things)


@pytest.mark.parametrize(
    "row", [row for row in LISTING if LISTS[row.key][0] != "slug"], ids=ids
)
def test_a_list_shows_nobody_elses_things(world, row):
    bob = world.callers["another person's cookie"]
    assert not shown(world, row, bob, world.things["alice"])


@pytest.mark.parametrize(
    "row", [row for row in LISTING if row in API and LISTS[row.key][1]], ids=ids
)
def test_a_list_shows_a_key_its_endpoints_only(world, row):
    things = world.things["alice"]
    assert shown(world, row, world.callers["the owner's key"], things)
    other = world.callers["a key for other endpoints"]
    assert not shown(world, row, other, things)
