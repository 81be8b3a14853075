"""Staff: they come at everybody's jobs, batches and files, and at nobody's account."""

import pytest

from tests.access.cases import cases, check_let_in, check_refused, ids
from tests.access.rows_api import API, RAW_UPLOADS, UPLOADS
from tests.access.rows_pages import PAGES

KEYED = [*API, *UPLOADS, *RAW_UPLOADS]
OWNED = [row for row in [*PAGES, *KEYED] if row.is_owned]
OF_THE_ACCOUNT = ("account/", "api/v1/webhooks")
THEIRS = [row for row in OWNED if row.route.startswith(OF_THE_ACCOUNT)]
SHARED = [row for row in OWNED if row not in THEIRS]
PURGE = [row for row in KEYED if row.route.endswith("/purge")]
REFUSED = [
    *cases(THEIRS, "a clerk's cookie", status=404),
    *cases([row for row in THEIRS if row in KEYED], "a clerk's key", status=404),
    *cases(PURGE, "a clerk's key", "a viewer's key", status=404),
    *cases(PURGE, "a clerk's cookie", "the owner's key", status=404),
]


@pytest.mark.parametrize("row", SHARED, ids=ids)
def test_staff_come_at_everybodys_work(world, row):
    caller = world.callers["a clerk's cookie"]
    check_let_in(world, row, caller, world.fresh(row))


@pytest.mark.parametrize("row", [row for row in SHARED if row in KEYED], ids=ids)
def test_staff_come_at_everybodys_work_by_key(world, row):
    caller = world.callers["a clerk's key"]
    check_let_in(world, row, caller, world.fresh(row))


@pytest.mark.parametrize(("row", "who", "status"), REFUSED)
def test_staff_come_at_nobodys_account(world, row, who, status):
    check_refused(world, row, who, status)


# --- lists ----------------------------------------------------------------------------
NAMED = {"jobs": "job_id", "batches": "batch_id", "uploads": "upload_id"}


def shown(world, row, caller, things):
    """Whether the newest thing is on the first page."""
    name = str(getattr(things, NAMED[row.route.strip("/").rpartition("/")[2]]))
    answer = row.send(world.runner, caller, things)
    assert answer.status == 200
    return name in answer.text


@pytest.mark.parametrize("route", ["jobs/", "batches/", "uploads/"])
def test_pages_list_everybodys_work_to_staff(world, route):
    row = next(row for row in PAGES if row.key == f"GET {route}")
    things, clerk = world.fresh(row), world.callers["a clerk's cookie"]
    assert shown(world, row, clerk, things)


@pytest.mark.parametrize("route", ["api/v1/jobs", "api/v1/batches"])
@pytest.mark.parametrize("who", ["a clerk's cookie", "a clerk's key"])
def test_the_api_lists_ones_own_work_to_staff_as_well(world, route, who):
    row = next(row for row in API if row.key == f"GET {route}")
    things = world.fresh(row)
    assert not shown(world, row, world.callers[who], things)
    assert shown(world, row, world.cookie_of(things), things)
