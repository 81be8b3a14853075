"""The operator's panel: what it shows and does, and to whom."""

import json
import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils.timezone import now

from jobs.models import (
    AuditEntry,
    Budget,
    Endpoint,
    GpuPrice,
    HealthSample,
    Job,
    JobHour,
    Spend,
)
from jobs.services.money import costs, dashboard, totals
from jobs.services.operations import accounts, alerts, provisioning, sampling
from jobs.services.operations.endpoint_spec import EndpointSpec
from tests.factories import make_batch, make_endpoint, make_job, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]
CANARY = "canary-93d1-variable"
FORM = {
    "name": "upscale",
    "image": "you/worker:1",
    "gpu_ids": ["AMPERE_48", "ADA_48_PRO"],
    "models": "org/small",
    "has_volume": "on",
    "data_center": "US-TX-3",
    "workers_min": 0,
    "workers_max": 3,
    "idle_seconds": 5,
    "scaler_type": "QUEUE_DELAY",
    "scaler_value": 4,
    "env": f"API_TOKEN={CANARY}",
    "contract": "slipway",
    "runner": "upscale",
}


@pytest.fixture
def boss(client):
    client.force_login(make_user("boss", is_staff=True, is_superuser=True))
    return client


def text(answer):
    return re.sub(r"\s+", " ", answer.content.decode())


def made():
    return provisioning.provision(
        EndpointSpec("upscale", "you/worker:1", ("ADA_24", "AMPERE_48"))
    )


def act(boss, endpoint, action, **fields):
    url = f"/admin/jobs/endpoint/{endpoint.pk}/operate/{action}/"
    return text(boss.post(url, fields, follow=True))


# --- dashboard ------------------------------------------------------------------------
def fill(number, endpoints=1):
    """Make ended jobs, samples and totals."""
    for n in range(endpoints):
        endpoint = make_endpoint(f"e{n}", remote={"gpu_ids": ["ADA_24"]})
        at = now()
        for _ in range(number):
            job = make_job(
                "COMPLETED",
                endpoint=endpoint,
                created_at=at - timedelta(seconds=12),
                started_at=at - timedelta(seconds=10),
                finished_at=at,
            )
            job.attempts.update(execution_ms=10_000)
        make_job(
            "FAILED", endpoint=endpoint, finished_at=at, error_message="no weights"
        )
        HealthSample.objects.create(endpoint=endpoint, running=2, in_queue=7)
    costs.settle()
    totals.count_hours()


def test_an_empty_dashboard_says_what_to_do(boss):
    page = text(boss.get("/admin/"))
    assert "Provision one at RunPod" in page
    assert "No job ended in this time" in page


def test_the_dashboard_shows_jobs_workers_times_money_and_failures(boss):
    fill(20)
    alerts.open_alert("balance_low", "The balance is $1.", "Top up.", subject="KEY")
    summary = dashboard.dashboard()
    assert sum(summary.ended.lines["completed"]) == 20
    assert summary.success_percent == pytest.approx(95.2)
    assert max(v or 0 for v in summary.workers.lines["running"]) == 2
    assert max(v or 0 for v in summary.times.lines["run_p95"]) == 10
    assert summary.spent_today == pytest.approx(20 * 10 * 0.00031)
    page = text(boss.get("/admin/"))
    assert "no weights" in page
    assert "The balance is $1." in page
    assert "$0.062" in page
    [data] = re.findall(
        r'aria-label="Cost by endpoint" data-type="bar" data-value="([^"]+)"', page
    )
    assert "E0" in data


def test_staff_who_may_not_see_jobs_see_no_dashboard(client):
    fill(2)
    client.force_login(make_user("clerk", is_staff=True))
    page = text(client.get("/admin/"))
    assert "The dashboard is for those who may see" in page
    assert "no weights" not in page
    assert "Provision" not in page
    assert "/admin/jobs/job/" not in page


@pytest.mark.parametrize("name", ["24h", "7d", "30d", "90d", "nonsense"])
def test_every_range_takes_a_constant_number_of_queries(
    boss, django_assert_num_queries, name
):
    counts = []
    for number, endpoints in ((1, 1), (10, 6)):
        fill(number, endpoints)
        cache.clear()
        with django_assert_num_queries(12, exact=False) as seen:
            assert boss.get(f"/admin/?range={name}").status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_local_endpoints_of_one_queue_show_their_workers_once():
    for slug in ("a", "b"):
        endpoint = make_endpoint(slug, kind="local", queue="shared", runpod_id="")
        HealthSample.objects.create(endpoint=endpoint, idle=1, in_queue=4)
    summary = dashboard.dashboard()
    assert max(v or 0 for v in summary.workers.lines["idle"]) == 1
    assert max(v or 0 for v in summary.workers.lines["in_queue"]) == 8


def test_a_total_is_there_although_its_jobs_are_deleted():
    fill(5)
    Job.objects.all().delete()
    summary = dashboard.dashboard("7d")
    assert summary.completed == 5
    assert summary.spent == pytest.approx(5 * 10 * 0.00031)


# --- one endpoint ---------------------------------------------------------------------
def test_the_page_of_an_endpoint_says_why_with_evidence(boss, graphql_account):
    endpoint = made()
    job = make_job("IN_QUEUE", endpoint=endpoint)
    Job.objects.filter(pk=job.pk).update(moved_at=now() - timedelta(minutes=9))
    graphql_account.health[endpoint.runpod_id] = {"workers": {"throttled": 1}}
    graphql_account.stock |= {"ADA_24": None, "AMPERE_48": None}
    page = act(boss, endpoint, "look")
    assert "RunPod has no free GPU of the wanted kind." in page
    assert "out of stock: ADA_24, AMPERE_48" in page
    assert "Users read: “No GPU of the wanted kind is free" in page
    assert "you/worker:1" in page


def test_every_button_does_what_it_says_and_is_written_down(boss, graphql_account):
    endpoint = made()
    old = endpoint.runpod_id
    assert "2 jobs dropped" in act(boss, endpoint, "purge")
    assert "Paused" in act(boss, endpoint, "pause")
    assert not Endpoint.objects.get().is_active
    assert "Awake" in act(boss, endpoint, "wake")
    page = act(boss, endpoint, "release", image="you/worker:2", env=f"A={CANARY}")
    assert "you/worker:2 is being rolled out" in page
    assert "Choose at least one thing to change" in act(boss, endpoint, "release")
    assert "Write NAME=value" in act(boss, endpoint, "release", env="oops")
    assert "Made anew" in act(boss, endpoint, "recreate")
    assert Endpoint.objects.get().runpod_id != old
    assert "Deleted at RunPod" in act(boss, endpoint, "delete")
    actions = AuditEntry.objects.exclude(user=None).values_list("action", flat=True)
    assert set(actions) == {
        *("purged", "paused", "woken", "released", "recreated"),
        "deleted_at_runpod",
    }
    everything = json.dumps(list(AuditEntry.objects.values_list("detail", flat=True)))
    assert CANARY not in everything + page
    assert "recreated" in text(boss.get("/admin/jobs/auditentry/"))


def test_what_runpod_refuses_is_told_and_nothing_breaks(boss, graphql_account):
    endpoint = made()
    graphql_account.set_balance(-1)
    assert "Top it up at RunPod first" in act(boss, endpoint, "recreate")
    graphql_account.fault = (503, {})
    assert "RunPod answered 503" in act(boss, endpoint, "purge")
    assert (
        boss.post(f"/admin/jobs/endpoint/{endpoint.pk}/operate/nope/").status_code
        == 404
    )


def test_nothing_is_done_by_a_link_nor_by_people_without_the_right(
    boss, client, graphql_account
):
    endpoint = made()
    url = f"/admin/jobs/endpoint/{endpoint.pk}/operate/"
    assert boss.get(f"{url}delete/").status_code == 405
    client.force_login(make_user("clerk", is_staff=True))
    assert client.get(url).status_code == 403
    assert client.post(f"{url}delete/").status_code == 403
    assert client.get("/admin/jobs/endpoint/provision/").status_code == 403
    assert client.get("/admin/jobs/endpoint/account/").status_code == 403
    for act in ("grow", "delete"):
        url_of = f"/admin/jobs/endpoint/volumes/{act}/"
        assert client.post(url_of, {"id": "x"}).status_code == 403
        assert boss.get(url_of).status_code == 405
    client.force_login(make_user())
    assert client.post(f"{url}delete/").status_code == 302
    assert graphql_account.endpoints


# --- provisioning ---------------------------------------------------------------------
def test_the_wizard_looks_first_and_makes_then(boss, graphql_account):
    url = "/admin/jobs/endpoint/provision/"
    assert "RUNPOD_API_KEY" in text(boss.get(url))
    page = text(boss.post(url, {**FORM, "look": ""}))
    assert "Buy the volume upscale-models: 12 GB in US-TX-3." in page
    assert "16.0 GB compressed" in page
    assert "Nothing has been bought yet" in page
    assert graphql_account.volumes == {}
    answer = boss.post(url, {**FORM, "make": ""})
    endpoint = Endpoint.objects.get()
    assert answer["Location"] == f"/admin/jobs/endpoint/{endpoint.pk}/operate/"
    assert (endpoint.slug, endpoint.runner) == ("upscale", "upscale")
    assert endpoint.runpod_id in graphql_account.endpoints


def test_a_tier_that_is_new_at_runpod_is_added_under_gpu_prices(boss, graphql_account):
    form = {
        "pool": "HOPPER_141",
        "title": "H200",
        "vram_gb": 141,
        "per_second": "0.0011",
    }
    boss.post("/admin/jobs/gpuprice/add/", form)
    url = "/admin/jobs/endpoint/provision/"
    assert "HOPPER_141 · 141 GB · H200 · $0.00110/s" in text(boss.get(url))
    boss.post(url, {**FORM, "gpu_ids": ["HOPPER_141", "AMPERE_80"], "make": ""})
    [remote] = graphql_account.endpoints.values()
    assert remote["gpuIds"] == "HOPPER_141,AMPERE_80"


def test_the_wizard_puts_mistakes_at_their_fields(boss, graphql_account):
    wrong = {
        **FORM,
        "env": "MODEL_DIR=/workspace/models",
        "data_center": "",
        "look": "",
    }
    answer = boss.post("/admin/jobs/endpoint/provision/", wrong)
    page = text(answer)
    assert answer.status_code == 422
    assert "the volume is at /runpod-volume, not /workspace" in page
    assert "choose one" in page
    assert "Make it" not in page
    assert graphql_account.templates == {}


def test_volumes_are_grown_and_spare_ones_deleted_on_the_account_page(
    boss, graphql_account
):
    with accounts.open_account() as account:
        spare = account.create_volume("old", 50, "US-TX-3")
    spec = EndpointSpec(
        *("upscale", "you/worker:1", ("ADA_24", "AMPERE_48")),
        has_volume=True,
        data_center="US-TX-3",
        models=("org/small",),
    )
    used = provisioning.provision(spec).remote["volume_id"]
    page = text(boss.get("/admin/jobs/endpoint/account/"))
    assert "New size of upscale-models in GB" in page
    assert page.count("Nothing brings it back.") == 1

    def post(act, **fields):
        url = f"/admin/jobs/endpoint/volumes/{act}/"
        return text(boss.post(url, {"key_name": "", **fields}, follow=True))

    assert "old has 70 GB." in post("grow", id=spare.id, size_gb="70")
    assert "can only grow: enter 71" in post("grow", id=spare.id, size_gb="much")
    assert "is used by upscale" in post("delete", id=used)
    assert "old is deleted" in post("delete", id=spare.id)
    assert list(graphql_account.volumes) == [used]
    assert "no volume" in post("delete", id=spare.id)


def test_the_account_page_tells_money_and_what_is_odd(boss, graphql_account, settings):
    made()
    graphql_account.balance = -2
    page = text(boss.get("/admin/jobs/endpoint/account/"))
    assert "$-2.00" in page
    assert "404 for every endpoint" in page
    graphql_account.fault = (401, {})
    assert "RunPod answered 401" in text(boss.get("/admin/jobs/endpoint/account/"))
    settings.RUNPOD_KEYS = {"": ""}
    assert "RUNPOD_API_KEY is not set" in text(
        boss.get("/admin/jobs/endpoint/account/")
    )


# --- lists ----------------------------------------------------------------------------
def test_every_list_and_form_opens(boss):
    fill(3)
    make_batch([{"media": "https://x.test/a"}], endpoint=make_endpoint("b"))
    Budget.objects.create(amount=5)
    for name in (
        *("job", "batch", "upload", "endpoint", "localworker", "alert", "spend"),
        *("budget", "gpuprice", "apikey", "webhook", "delivery", "auditentry"),
    ):
        assert boss.get(f"/admin/jobs/{name}/").status_code == 200, name
    job = Job.objects.first()
    assert "Attempt" in text(boss.get(f"/admin/jobs/job/{job.pk}/change/"))
    assert boss.get("/admin/jobs/budget/add/").status_code == 200
    assert (
        boss.get(f"/admin/jobs/endpoint/{job.endpoint_id}/change/").status_code == 200
    )


def test_held_jobs_move_to_another_endpoint_and_others_say_what_to_do(boss):
    here, target = make_endpoint("here"), make_endpoint("there")
    picky = make_endpoint("picky", input_schema={"required": ["media"]})
    held = make_job(endpoint=here)
    queued = make_job("IN_QUEUE", endpoint=here)
    form = {"action": "move", "_selected_action": [held.pk, queued.pk]}
    url = "/admin/jobs/job/"
    assert "Choose the endpoint" in text(boss.post(url, form, follow=True))
    page = text(boss.post(url, {**form, "endpoint": picky.pk}, follow=True))
    assert "required" in page
    page = text(boss.post(url, {**form, "endpoint": target.pk}, follow=True))
    assert f"{held} moved to There" in page
    assert "run it again there" in page
    held.refresh_from_db()
    queued.refresh_from_db()
    assert (held.endpoint, queued.endpoint) == (target, here)


def test_a_price_counts_from_the_moment_it_is_saved(boss):
    endpoint = make_endpoint(remote={"gpu_ids": ["ADA_80_PRO"]})
    assert costs.price_of(endpoint) is None
    form = {
        "pool": "ADA_80_PRO",
        "title": "H100",
        "vram_gb": 80,
        "per_second": "0.00116",
    }
    boss.post("/admin/jobs/gpuprice/ADA_80_PRO/change/", form)
    assert GpuPrice.objects.get(pool="ADA_80_PRO").per_second
    assert float(costs.price_of(endpoint)) == 0.00116


def test_samples_and_totals_of_an_endpoint_go_with_it():
    fill(1)
    endpoint = Endpoint.objects.get()
    sampling.thin()
    Job.objects.all().delete()
    endpoint.delete()
    for rows in (HealthSample, JobHour, Spend):
        assert not rows.objects.exists()
