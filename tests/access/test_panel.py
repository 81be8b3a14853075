"""The panel: for staff, and each page of it for who may see or change what it shows."""

import re
from urllib.parse import urlencode

import pytest
from django.contrib import admin

from jobs.models import Endpoint
from jobs.services.operations import endpoints
from tests.access.asking import ask, encoded
from tests.access.panel_things import PanelThings
from tests.access.routes import PANEL

OUTSIDE = ("nobody", "another person's cookie", "the owner's key", "root's key")
CLERK, VIEWER, ROOT = "a clerk's cookie", "a viewer's cookie", "root's cookie"
# The frame of the panel, which shows no rows: (GET, POST) of any staff.
FRAME = {
    "admin/": (200, 200),
    "admin/jsi18n/": (200, 405),
    "admin/logout/": (405, 302),
    "admin/password_change/": (200, 200),
    "admin/password_change/done/": (200, 405),
    "admin/search/": (200, 200),
    "admin/(?P<url>.*)$": (404, 404),
    "admin/r/<path:content_type_id>/<path:object_id>/": (404, 404),
}
# What a route does: (clerk's GET, POST, viewer's GET, POST, root's GET).
KINDS = {
    r"^admin/\w+/\w+/<path:object_id>/$": (302, 302, 302, 302, 302),  # to …/change/
    r"/(add|delete|password|provision)/$": (403, 403, 403, 403, 200),
    r"/change/$": (403, 403, 200, 403, 200),
    r"/history/$": (403, 403, 200, 200, 200),
    r"/operate/$": (403, 405, 403, 405, 200),
    r"/(account|autocomplete)/$": (403, 405, 200, 405, 200),
    r"app_label": (404, 404, 200, 200, 200),
    r"^admin/\w+/\w+/$": (403, 403, 200, 200, 200),
}
BUTTONS = re.compile(r"/(<slug:action>|volumes/\w+)/$")
BUTTON = (405, 403, 405, 403, 405)
# Rows that only the product writes, and of these the ones that nobody takes out.
READ_ONLY = (
    *("alert", "auditentry", "batch", "delivery", "job"),
    *("localworker", "spend", "upload", "webhook"),
)
KEPT = ("alert", "auditentry", "batch", "job")


def kind_of(route):
    if route in FRAME:
        return (*FRAME[route], *FRAME[route], FRAME[route][0])
    if BUTTONS.search(route):
        return BUTTON
    codes_of = (codes for form, codes in KINDS.items() if re.search(form, route))
    return next(codes_of, ())


def is_closed(route, verb):
    """Whether nobody may, root neither."""
    model, what = model_of(route), route.rstrip("/").rpartition("/")[2]
    if (what == "change" and verb == "POST") or what == "add":
        return model in READ_ONLY
    return what == "delete" and model in KEPT


def model_of(route):
    return route.split("/")[2] if route.count("/") > 2 else ""


def path_of(route, things):
    """Return an address of the panel that names a row."""
    named = {
        "object_id": lambda: getattr(things, model_of(route)),
        "id": lambda: getattr(things, model_of(route)),
        "pk": lambda: things.endpoint,
        "action": lambda: "pause",
        "content_type_id": lambda: things.content_type,
        "app_label": lambda: "jobs",
        "url": lambda: "nonsense",
    }
    if "content_type_id" in route:
        named["object_id"] = lambda: things.owner.pk
    route = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", route).strip("$").replace("^", "")
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda m: str(named[m[1]]()), route)


def send(world, who, verb, path, form=()):
    kind, body = encoded(list(form))
    query = "app_label=jobs&model_name=budget&field_name=user"
    query = query if "autocomplete" in path else ""
    caller = world.callers[who]
    return ask(world.runner, caller, verb, path, body=body, kind=kind, query=query)


@pytest.fixture(scope="module")
def things(world):
    """One row of every kind, which nobody may change."""
    made = PanelThings(world.things["alice"])
    for name in dir(PanelThings):
        getattr(made, name)
    return made


@pytest.fixture
def fresh(world):
    """Return things that a test may change."""
    return PanelThings(world.fresh_of("alice"))


@pytest.mark.parametrize("who", OUTSIDE)
@pytest.mark.parametrize("route", PANEL)
def test_who_is_no_staff_is_sent_to_sign_in(world, things, route, who):
    for verb in ("GET", "POST"):
        answer = send(world, who, verb, path_of(route, things))
        assert answer.status == 302
        where = answer.headers["location"]
        assert where.startswith("/admin/login/") or route == "admin/logout/"


@pytest.mark.parametrize("route", [one for one in PANEL if one != "admin/logout/"])
def test_staff_see_and_change_what_they_have_leave_for(world, things, route):
    path, codes = path_of(route, things), kind_of(route)
    world.watch()
    got = [
        send(world, who, verb, path, [("post", "yes")]).status
        for who in (CLERK, VIEWER)
        for verb in ("GET", "POST")
    ]
    assert tuple(got) == codes[:4]
    assert world.changed() == set()


@pytest.mark.parametrize("route", PANEL)
def test_root_comes_at_every_page(world, things, route):
    expected = 403 if is_closed(route, "GET") else kind_of(route)[4]
    assert send(world, ROOT, "GET", path_of(route, things)).status == expected


CHANGING = [r for r in PANEL if 403 in kind_of(r)[1:4:2]]


@pytest.mark.parametrize("route", CHANGING)
def test_root_is_let_in_where_others_may_not_change(world, fresh, route):
    answer = send(world, ROOT, "POST", path_of(route, fresh), [("post", "yes")])
    # Done, or a form with its mistakes.
    expected = {403} if is_closed(route, "POST") else {302, 200, 422}
    assert answer.status in expected


DELETING = [
    route
    for route in CHANGING
    if "<path:object_id>/delete/" in route and not is_closed(route, "POST")
]


@pytest.mark.parametrize("route", DELETING)
def test_root_deletes_a_row(world, fresh, route):
    path = path_of(route, fresh)
    send(world, ROOT, "POST", path, [("post", "yes")])
    assert send(world, ROOT, "GET", path).status == 302  # it is not there any more


# --- actions on lists -----------------------------------------------------------------
# Action: what one must be allowed.
ACTIONS = {
    ("job", "cancel"): "view",
    ("job", "run_again"): "view",
    ("job", "move"): "view",
    ("batch", "cancel"): "view",
    ("batch", "retry_failed"): "view",
    ("delivery", "send_again"): "view",
    ("endpoint", "purge_queue"): "change",
    ("endpoint", "pause"): "change",
    ("endpoint", "wake"): "change",
    ("apikey", "revoke"): "change",
}


def act(world, who, fresh, model, action):
    """Choose the row and the action on the list of its kind; return what changed."""
    free = Endpoint.objects.get(slug=fresh.of.free_slug)
    chosen = [("action", action), ("_selected_action", getattr(fresh, model))]
    if action == "wake":
        Endpoint.objects.filter(pk=fresh.endpoint).update(is_active=False)
    world.watch()
    send(world, who, "POST", f"/admin/jobs/{model}/", [*chosen, ("endpoint", free.pk)])
    return world.changed()


def test_every_action_is_listed():
    listed = {
        (model._meta.model_name, action)
        for model, shown in admin.site._registry.items()
        for action in shown.actions
    }
    assert listed == set(ACTIONS)


@pytest.mark.parametrize("who", [CLERK, VIEWER, ROOT])
@pytest.mark.parametrize(("model", "action"), ACTIONS)
def test_an_action_is_for_who_has_leave_for_it(
    world, fresh, runpod, monkeypatch, model, action, who
):
    monkeypatch.setattr(endpoints, "client_for", lambda _: runpod.client())
    changed = act(world, who, fresh, model, action)
    may = who == ROOT or (who == VIEWER and ACTIONS[model, action] == "view")
    assert bool(changed) is may, changed


@pytest.mark.parametrize(("model", "action"), ACTIONS)
def test_an_action_needs_a_post(world, things, model, action):
    query = urlencode({"action": action, "_selected_action": getattr(things, model)})
    path, root = f"/admin/jobs/{model}/", world.callers[ROOT]
    world.watch()
    answer = ask(world.runner, root, "GET", path, query=query)
    assert answer.status in {200, 302}  # a filter it does not know leads back
    assert world.changed() == set()


@pytest.mark.parametrize("model", ["endpoint", "apikey", "job", "webhook"])
def test_no_page_of_the_panel_shows_a_secret(world, things, settings, model):
    settings.RUNPOD_KEYS = {"": "canary-of-runpod"}
    local, hook = things.of.local, things.of.hook
    secrets = ["canary-of-runpod", local.worker_key, local.client_key, hook.secret]
    pk = local.pk if model == "endpoint" else getattr(things, model)
    for path in (f"/admin/jobs/{model}/", f"/admin/jobs/{model}/{pk}/change/"):
        answer = send(world, ROOT, "GET", path)
        assert answer.status == 200
        assert not [secret for secret in secrets if secret in answer.text]
