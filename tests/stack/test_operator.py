"""An operator's day in real Chromium, from an empty account on, against a fake account."""

import re

import pytest
from playwright.sync_api import expect

from tests.fake_account import KEY, FakeAccount
from tests.fake_registries import FakeRegistries
from tests.stack.chromium import needs_chromium, signed_in
from tests.stack.stack import wait_until

pytestmark = needs_chromium
CANARY = "canary-71e0-operator"
SHELL = ("shell", "-v", "0", "-c")


@pytest.fixture(scope="module")
def account():
    server = FakeAccount()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def operated(installations, account):
    registries = FakeRegistries()
    with installations.running(
        "operated",
        RUNPOD_API_KEY=KEY,
        RUNPOD_GRAPHQL_URL=f"{account.url}/graphql",
        RUNPOD_REST_URL=f"{account.url}/rest",
        RUNPOD_API_BASE=f"{account.url}/v2",
        HF_ENDPOINT=registries.url,
        DOCKER_HUB_URL=registries.url,
        JOBS_SAMPLE_SECONDS="2",
        JOBS_NOT_FOUND_SECONDS="1",
    ) as running:
        yield running
    log = running.printed.read_text()
    registries.stop()
    assert KEY not in log
    assert CANARY not in log


@pytest.fixture(scope="module")
def page(browser, operated):
    with signed_in(browser, operated) as opened:
        opened.on("dialog", lambda dialog: dialog.accept())
        yield opened


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def operate_page(operated):
    code = (
        "from jobs.models import Endpoint as E; print(E.objects.get(slug='upscale').pk)"
    )
    return f"/admin/jobs/endpoint/{operated.manage(*SHELL, code)}/operate/"


def remote(account, name):
    """Return the id of an endpoint at RunPod."""
    [id] = [one["id"] for one in account.endpoints.values() if one["name"] == name]
    return id


def writes(account):
    """Return what the account was asked to change: (what, variables)."""
    return [
        (re.search(r"(save|create|update|delete)\w+", query).group(), variables)
        for query, variables in account.requests
        if query.startswith("mutation")
    ]


def test_an_endpoint_from_an_empty_account_to_its_end(page, account, operated):
    provision(page, account)
    first = remote(account, "upscale")
    release(page, account, first)
    purge_pause_and_wake(page, account, first)
    run_out_of_money(page, account, operated)
    second = recreate(page, account, first)

    # The account, and what is left in writing
    page.get_by_role("link", name="Account at RunPod", exact=True).click()
    expect(page.get_by_text("$25.00")).to_be_visible()
    expect(page.get_by_text(second)).to_be_visible()
    page.get_by_role("link", name="Audit log").click()
    for action in ("provisioned", "released", "purged", "paused", "woken", "recreated"):
        expect(page.get_by_text(action, exact=True).first).to_be_visible()
    assert CANARY not in page.content()
    assert second in operated.manage("audit")


def provision(page, account):
    account.requests.clear()
    page.goto("/admin/")
    page.get_by_role("link", name="Provision", exact=True).click()
    page.fill("#id_name", "upscale")
    page.fill("#id_image", "you/worker:1")
    page.fill("#id_models", "org/small")
    page.locator("#id_has_volume").check(force=True)
    page.fill("#id_data_center", "US-TX-3")
    page.fill("#id_env", f"API_TOKEN={CANARY}\nHF_HOME=/workspace/hf")
    press(page, "Dry run")
    expect(page.get_by_text("the volume is at /runpod-volume").first).to_be_visible()
    page.fill("#id_env", f"API_TOKEN={CANARY}")
    press(page, "Dry run")
    expect(page.get_by_text("Buy the volume upscale-models: 12 GB")).to_be_visible()
    assert writes(account) == []
    press(page, "Make it")
    expect(page.get_by_role("heading", name="At RunPod")).to_be_visible()
    assert [what for what, _ in writes(account)] == [
        *("createNetworkVolume", "saveTemplate", "saveEndpoint"),
    ]
    template = writes(account)[1][1]["input"]
    assert template["dockerArgs"] == ""
    assert template["containerDiskInGb"] == 60
    assert {"key": "API_TOKEN", "value": CANARY} in template["env"]


def release(page, account, id):
    account.requests.clear()
    page.fill("#image", "you/worker:2")
    press(page, "Release")
    expect(page.get_by_text("you/worker:2 is being rolled out")).to_be_visible()
    assert [what for what, _ in writes(account)] == ["saveTemplate", "saveEndpoint"]
    assert writes(account)[0][1]["input"]["id"] in account.templates
    assert writes(account)[1][1]["input"]["id"] == id


def purge_pause_and_wake(page, account, id):
    account.requests.clear()
    press(page, "Purge the queue")
    expect(page.get_by_text("2 jobs dropped")).to_be_visible()
    assert account.asked(f"POST /job/{id}/purge-queue") == [None]
    press(page, "Pause")
    expect(page.get_by_text("Paused: no new jobs")).to_be_visible()
    account.endpoints[id]["workersMax"] = 0  # as RunPod does after idle days
    press(page, "Wake")
    expect(page.get_by_text("Awake: jobs are accepted")).to_be_visible()
    assert account.endpoints[id]["workersMax"] == 3


def run_out_of_money(page, account, operated):
    """RunPod then switches endpoints off, and they stay dead when it is topped up."""
    account.set_balance(-1.5)
    operated.manage(
        *SHELL,
        "from jobs.services.operations import sampling as s; s.sample_accounts()",
    )
    page.goto(operate_page(operated))

    def is_off():
        press(page, "Look again now")
        return page.get_by_text("RunPod has switched the endpoint off").count()

    wait_until(is_off)
    press(page, "Recreate")
    expect(page.get_by_text("Top it up at RunPod first")).to_be_visible()
    account.set_balance(25)


def recreate(page, account, old):
    """Make it anew; return its new id."""
    account.requests.clear()
    press(page, "Recreate")
    expect(page.get_by_text(f"Made anew: {old} is now")).to_be_visible()
    new = remote(account, "upscale")
    assert new != old
    assert [what for what, _ in writes(account)] == [
        *("saveEndpoint", "deleteEndpoint", "saveEndpoint"),
    ]
    off, gone, anew = (variables for _, variables in writes(account))
    assert (off["input"]["id"], off["input"]["workersMax"]) == (old, 0)
    assert gone == {"id": old}
    assert "id" not in anew["input"]
    assert anew["input"]["workersMax"] == 3
    press(page, "Look again now")
    expect(page.get_by_text("Nothing is wrong").first).to_be_visible()
    return new


def test_a_volume_that_nothing_uses_is_grown_and_deleted(page, account, operated):
    old = {"id": "vol1", "name": "old-models", "size": 50, "dataCenterId": "US-TX-3"}
    account.volumes["vol1"] = dict(old)
    account.requests.clear()
    page.goto("/admin/jobs/endpoint/account/")
    row = page.get_by_role("row", name="old-models")
    row.get_by_label("New size of old-models in GB").fill("80")
    row.get_by_role("button", name="Grow").click()
    expect(page.get_by_text("old-models has 80 GB.")).to_be_visible()
    asked = []
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    row.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("old-models is deleted: 80 GB.")).to_be_visible()
    assert asked == [
        "Delete old-models (80 GB) and all that is on it? Nothing brings it back."
    ]
    assert writes(account) == [
        ("updateNetworkVolume", {"input": {"id": "vol1", "size": 80}}),
        ("deleteNetworkVolume", {"input": {"id": "vol1"}}),
    ]


@pytest.mark.smoke
def test_a_job_says_why_it_waits_and_the_dashboard_too(page, account, operated):
    words = ("--image", "you/worker:1", "--gpu", "ADA_24", "--contract", "plain")
    operated.manage("provision", "waiting", *words)
    endpoint = remote(account, "waiting")
    account.health[endpoint] = {"workers": {"throttled": 1}, "jobs": {"inQueue": 1}}
    account.stock = dict.fromkeys(account.stock)
    operated.manage(
        *SHELL,
        "from jobs.models import Endpoint;"
        "Endpoint.objects.filter(slug='waiting').update(input_schema={'type':'object',"
        "'properties':{'text':{'type':'string'}}})",
    )
    page.goto("/new/waiting/")
    page.fill("[name=input-text]", "hello")
    page.get_by_role("button", name=re.compile("^Run")).click()
    page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}/"))
    expect(page.get_by_text("No GPU of the wanted kind is free")).to_be_visible(
        timeout=40_000
    )
    page.goto("/admin/")
    expect(
        page.get_by_text("RunPod has no free GPU of the wanted kind.").first
    ).to_be_visible()
    expect(page.locator("canvas.chart").first).to_be_visible()
