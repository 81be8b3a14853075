"""Every request that the installation answers has a row here, and is asked for."""

import pytest

from tests.access import asking, test_local_endpoint, test_people, test_staff
from tests.access.cases import ids
from tests.access.known_open import KNOWN_OPEN, OTHER, OTHER_STOPS
from tests.access.routes import OURS, PANEL, ROUTES
from tests.access.rows import Row
from tests.access.rows_api import API, RAW_UPLOADS, UPLOADS
from tests.access.rows_local import CLIENT, WORKER
from tests.access.rows_pages import OPEN, PAGES, RESET
from tests.access.rows_signed import FILES, HANDLER, HOOKS, OUTPUTS
from tests.access.test_panel import kind_of

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND")
IN_DJANGO = [*PAGES, *OPEN, *API, *UPLOADS, *CLIENT, *WORKER, *FILES, *HANDLER]
IN_FRONT = [*RAW_UPLOADS, *OUTPUTS, *HOOKS]
EACH = [*IN_DJANGO, *IN_FRONT]
# Ninja's root answers 404 to everybody; a reset's link has tests of its own.
OTHERWISE = {"api/v1/", RESET}


def test_every_route_has_a_row():
    assert {row.route for row in IN_DJANGO} | OTHERWISE == {*OURS, "admin/login/"}
    assert [route for route in PANEL if not kind_of(route)] == []
    assert {*OURS, *PANEL, "admin/login/"} == set(ROUTES)


def test_every_door_in_front_of_django_has_a_row():
    from webapp.asgi import DOORS  # noqa: PLC0415 - sets Django up

    rows = {(row.verb, "/" + row.route.partition("<")[0]) for row in IN_FRONT}
    # RunPod's door takes every method, to refuse it; the API's routes are Django's.
    rows = {("*" if "hooks" in path else verb, path) for verb, path in rows}
    in_front_of_routes = {("*", "/api/v1/"), ("*", "/batch/")}
    assert {(verb, begin) for verb, begin, _ in DOORS} == rows | in_front_of_routes


def test_no_row_is_there_twice():
    keys = [row.key for row in EACH if row not in RAW_UPLOADS]
    assert len(set(keys)) == len(keys)


def test_what_is_known_to_be_open_is_asked_for():
    refused = [*test_people.REFUSED, *test_staff.REFUSED, *test_local_endpoint.REFUSED]
    asked = {(who, row.key) for row, who, _ in (case.values for case in refused)}
    asked |= {(who, row.key) for who in (OTHER, OTHER_STOPS) for row in WORKER}
    assert set(KNOWN_OPEN) <= asked


def unlisted(route):
    """Return the methods without a row; a page's HEAD is its GET."""
    rows = {row.verb for row in EACH if row.route == route}
    return [v for v in VERBS if v not in rows and not (v == "HEAD" and "GET" in rows)]


# A raw door and Django share these addresses.
ELSEWHERE = {
    "PATCH uploads/tus/": 415,
    "PUT admin/login/": 200,  # the form once more
    **{f"{verb} worker/v1/outputs/<str:output>": 404 for verb in VERBS},
}
# These read only, and answer any method as they answer GET.
AS_GET = {
    "files/<str:signed>": 200,
    "api/v1/docs": 200,
    "api/v1/openapi.json": 200,
    "account/sign-in/": 302,
}


def rightful(world, route, things):
    """Return who would be let in, if there were such a request."""
    if route.startswith("v2/") and ("job-" in route or "ping" in route):
        return asking.with_raw_key(things.local.worker_key)
    if route.startswith(("v2/", "worker/")):
        return world.callers["the owner's key"]
    return world.callers["the owner's cookie"]


@pytest.mark.parametrize("route", sorted({row.route for row in EACH}))
def test_no_other_method_is_answered(world, route):
    things = world.things["alice"]
    given = {"slug": "local_slug"} if route.startswith("v2/") else {}
    answers = {}
    world.watch()
    for verb in unlisted(route):
        row = Row(verb, route, 405, headers={"tus-resumable": "1.0.0"}, given=given)
        answer = row.send(world.runner, rightful(world, route, things), things)
        expected = ELSEWHERE.get(row.key) or AS_GET.get(route, 405)
        answers[verb] = answer.status, expected
    assert [verb for verb, (got, due) in answers.items() if got != due] == []
    assert world.changed() == set()


@pytest.mark.parametrize("row", OPEN, ids=ids)
def test_what_is_open_is_open_to_everybody(world, row):
    answer = row.send(world.runner, asking.ANYBODY, world.things["alice"])
    assert answer.status == row.status
