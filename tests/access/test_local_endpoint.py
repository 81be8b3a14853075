"""`/v2/<slug>`: who may submit, and whose workers may take."""

from dataclasses import replace

import pytest

from jobs.models import LocalWorker, QueueItem
from tests.access import asking
from tests.access.cases import UNKNOWN, cases, check_let_in, check_refused, ids
from tests.access.known_open import KNOWN_OPEN, OTHER, OTHER_STOPS
from tests.access.rows_local import CLIENT, FOR_ALL, WORKER
from tests.access.world import MINE
from tests.factories import make_key, make_local

OTHERS = [row for row in CLIENT if row.key not in FOR_ALL]
WRONG_FOR_CLIENTS = (
    "the owner's cookie",
    "a worker's key",
    "another local client's key",
    "a key without jobs:write",
    "a key for other endpoints",
)
WRONG_FOR_WORKERS = (
    "the owner's cookie",
    "root's cookie",
    "the owner's key",
    "root's key",
    "a local client's key",
    "another queue's worker's key",
    "an older worker's key",
)
REFUSED = [
    *cases(CLIENT, *UNKNOWN, *WRONG_FOR_CLIENTS, status=401),
    *cases(OTHERS, "another person's key", status=404),
    *cases(WORKER, *UNKNOWN, *WRONG_FOR_WORKERS, status=401),
]


@pytest.mark.parametrize(("row", "who", "status"), REFUSED)
def test_who_may_not_is_refused_and_nothing_changes(world, row, who, status):
    check_refused(world, row, who, status)


@pytest.mark.parametrize("row", CLIENT, ids=ids)
def test_a_key_that_submits_there_is_let_in(world, row):
    things = world.fresh(row)
    leave = {"scopes": ["jobs:write"], "endpoints": [things.local_slug]}
    key = make_key(things.owner, **leave)
    check_let_in(world, row, asking.with_key(key), things)


@pytest.mark.parametrize("row", CLIENT, ids=ids)
def test_slipways_own_client_is_let_in(world, row):
    things = world.fresh(row)
    caller = asking.with_key(things.local.client_key)
    check_let_in(world, row, caller, things)


@pytest.mark.parametrize("row", [r for r in CLIENT if r.key in FOR_ALL], ids=ids)
def test_everybody_may_submit(world, row):
    caller = world.callers["another person's key"]
    check_let_in(world, row, caller, world.fresh(row))


@pytest.mark.parametrize("row", [*CLIENT, *WORKER], ids=ids)
def test_an_endpoint_at_runpod_is_not_served_here(world, row):
    things = world.things["alice"]
    path = row.path(things).replace(things.local_slug, things.slug)
    as_worker = asking.with_raw_key(things.endpoint.worker_key)
    caller = as_worker if row in WORKER else world.callers[MINE]
    assert row.send(world.runner, caller, things, path).status == 404


# --- workers --------------------------------------------------------------------------
@pytest.mark.parametrize("form", [asking.with_raw_key, asking.with_key])
@pytest.mark.parametrize("row", WORKER, ids=ids)
def test_a_worker_of_the_queue_is_let_in(world, row, form):
    things = world.fresh(row)
    check_let_in(world, row, form(things.local.worker_key), things)


@pytest.mark.parametrize("row", WORKER, ids=ids)
def test_a_worker_of_another_endpoint_of_the_same_queue_is_let_in(world, row):
    things = world.fresh(row)
    other = make_local(f"{things.local.slug}-too", queue=things.local.queue_name)
    check_let_in(world, row, asking.with_raw_key(other.worker_key), things)


def state(things):
    """Return all that a queue holds, and its worker."""
    items = QueueItem.objects.filter(queue=things.local.queue_name).order_by("pk")
    chunks = [list(item.chunks.values()) for item in items]
    workers = LocalWorker.objects.filter(pk=things.worker_id)
    return list(items.values()), chunks, list(workers.values())


def from_elsewhere(world, row, things, body=None):
    """Name our worker and our item at another queue's address, with its own key."""
    other = make_local("elsewhere")
    path = row.path(things).replace(things.local_slug, other.slug)
    asked = replace(row, body=row.body if body is None else body)
    caller = asking.with_raw_key(other.worker_key)
    return asked.send(world.runner, caller, things, path)


@pytest.mark.parametrize("row", WORKER, ids=ids)
def test_a_worker_of_another_queue_changes_nothing_of_this_one(world, row):
    things = world.fresh(row)
    assert {things.running_item_id, things.stopped_item_id}
    row.path(things)  # what it names is made
    before = state(things)
    answer = from_elsewhere(world, row, things)
    known = KNOWN_OPEN.get((OTHER, row.key))
    assert answer.status == (known[0] if known else 200)
    assert (state(things) != before) is bool(known)


def test_a_worker_of_another_queue_drains_no_worker_of_this_one(world):
    row = next(row for row in WORKER if "job-done" in row.route)
    things = world.fresh(row)
    known = KNOWN_OPEN.get((OTHER_STOPS, row.key))
    answer = from_elsewhere(world, row, things, {"stopPod": True})
    assert answer.status == 200
    things.worker.refresh_from_db()
    assert things.worker.is_draining is bool(known)
