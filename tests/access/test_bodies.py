"""What a body or query names: another person's things are not there, either."""

import pytest

from jobs.models import Job
from tests.access.asking import with_key
from tests.access.cases import ids
from tests.access.rows import rows_of
from tests.factories import make_key

BOB, ALICE = "another person's cookie", "the owner's cookie"


def media(things):
    return f"upload:{things.upload_id}"


def job(things):
    return {"endpoint": things.slug, "input": {"text": "a", "media": media(things)}}


def batch(things):
    items = [{"text": "a", "media": media(things)}]
    return {"endpoint": things.slug, "items": items}


def batch_of_file(things):
    file = media(things)
    return {"endpoint": things.slug, "file": file, "format": "ndjson"}


def form(things):
    return [("input-text", "a"), ("input-media", media(things))]


NAMING = rows_of(
    ("POST", "api/v1/jobs", 201, {"body": job}),
    ("POST", "api/v1/batches", 201, {"body": batch}),
    ("POST", "api/v1/batches", 201, {"body": batch_of_file}),
    ("POST", "new/<slug:slug>/", 302, {"body": form}),
)


@pytest.mark.parametrize("row", NAMING, ids=ids)
def test_nobody_uses_another_persons_file(world, row):
    things = world.things["alice"]
    world.watch()
    assert row.send(world.runner, world.callers[BOB], things).status == 422
    assert world.changed() == set()
    assert row.send(world.runner, world.callers[ALICE], things).status == row.status


FROM = rows_of(
    ("GET", "new/<slug:slug>/", 200, {"query": lambda t: f"from={t.job_id}"})
)[0]


def test_a_form_is_filled_from_ones_own_job_only(world):
    things = world.things["alice"]
    secret = things.job.input["text"]
    assert secret in FROM.send(world.runner, world.callers[ALICE], things).text
    assert secret not in FROM.send(world.runner, world.callers[BOB], things).text


def test_a_cortex_batch_is_found_at_its_own_endpoint_only(world):
    rows = rows_of(
        ("GET", "batch/<slug:slug>", 200, {"query": lambda t: f"jobID={t.batch_id}"})
    )
    things, caller = world.things["alice"], world.callers["the owner's key"]
    assert rows[0].send(world.runner, caller, things).status == 200
    path = f"/batch/{things.free_slug}"
    assert rows[0].send(world.runner, caller, things, path).status == 404


# --- stored answers -------------------------------------------------------------------
ONCE = {"Idempotency-Key": "order-4711"}
STORED = rows_of(
    ("POST", "api/v1/jobs", 201, {"body": job, "headers": ONCE}),
    ("POST", "api/v1/jobs/<uuid:job_id>/retry", 201, {"headers": ONCE}),
)


@pytest.mark.parametrize("row", STORED, ids=ids)
def test_a_key_for_other_endpoints_is_told_no_stored_answer(world, row):
    things = world.fresh(row)
    anywhere, here = (
        with_key(make_key(things.owner, endpoints=ends)) for ends in ([], [things.slug])
    )
    elsewhere = with_key(make_key(things.owner, endpoints=["elsewhere"]))
    assert row.send(world.runner, anywhere, things).status == 201
    assert row.send(world.runner, elsewhere, things).status in {404, 422}
    again = row.send(world.runner, here, things)
    assert (again.status, again.headers["idempotent-replayed"]) == (201, "true")


@pytest.mark.parametrize("row", STORED, ids=ids)
def test_another_person_is_told_no_stored_answer(world, row):
    things = world.fresh(row)
    assert row.send(world.runner, world.cookie_of(things), things).status == 201
    count = Job.objects.count()
    bob = row.send(world.runner, world.callers["another person's key"], things)
    assert bob.status in {404, 422}
    assert Job.objects.count() == count
