"""Looking at endpoints and accounts: what is asked, kept, told and forgotten."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from jobs.local_endpoint import workers
from jobs.models import (
    AccountSample,
    Alert,
    Endpoint,
    HealthSample,
    Job,
    Lease,
    LocalWorker,
)
from jobs.services.lifecycle import explain
from jobs.services.operations import diagnosis, provisioning, sampling
from jobs.services.operations.endpoint_spec import EndpointSpec
from tests.factories import make_endpoint, make_job, make_key, make_local, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]
TOKEN = "hf_canaryABCDEFGHIJKLMNOP"


@pytest.fixture
def endpoint(graphql_account):
    made = provisioning.provision(
        EndpointSpec(
            "upscale", "you/worker:1", ("AMPERE_48", "ADA_48_PRO"), workers_max=3
        )
    )
    graphql_account.requests.clear()
    return made


def seen(endpoint, account, **counts):
    """Let RunPod's health be so, and look."""
    jobs = {"inQueue": counts.pop("queue", 1), "inProgress": counts.pop("progress", 0)}
    account.health[endpoint.runpod_id] = {"workers": counts, "jobs": jobs}
    Endpoint.objects.filter(pk=endpoint.pk).update(observed={})
    endpoint.refresh_from_db()
    sampling.sample(endpoint)
    return diagnosis.of(Endpoint.objects.get(pk=endpoint.pk))


def wait_at(endpoint, minutes=5):
    job = make_job("IN_QUEUE", endpoint=endpoint)
    job.moved_at = now() - timedelta(minutes=minutes)
    job.save(update_fields=["moved_at"])
    return job


def open_alerts():
    return set(Alert.objects.filter(resolved_at=None).values_list("code", flat=True))


def doctor(*words):
    out = StringIO()
    call_command("doctor", *words, stdout=out)
    return out.getvalue()


def test_health_is_kept_as_a_sample(endpoint, graphql_account):
    assert seen(endpoint, graphql_account, idle=2, ready=2, queue=0) is None
    kept = HealthSample.objects.get()
    assert (kept.idle, kept.ready, kept.in_queue) == (2, 2, 0)


def test_where_nothing_is_stuck_only_health_is_asked(endpoint, graphql_account):
    wait_at(endpoint)
    make_job("IN_PROGRESS", endpoint=endpoint, runpod_id="b")
    seen(endpoint, graphql_account, running=1, progress=1)
    assert [what for what, _ in graphql_account.requests] == [
        f"GET /job/{endpoint.runpod_id}/health"
    ]


def test_no_capacity_is_seen_with_the_tiers_that_have_stock(endpoint, graphql_account):
    job = wait_at(endpoint)
    graphql_account.stock |= {"AMPERE_48": None, "ADA_48_PRO": None}
    verdict = seen(endpoint, graphql_account, throttled=1)
    assert verdict.cause == "no_capacity"
    assert "out of stock: AMPERE_48, ADA_48_PRO" in verdict.evidence
    assert "ADA_24" in verdict.next_step
    assert open_alerts() == {"no_capacity"}
    job.refresh_from_db()
    assert "No GPU of the wanted kind is free" in explain.sentence(job)
    graphql_account.stock |= {"AMPERE_48": "Low"}
    assert seen(endpoint, graphql_account, initializing=1).cause == "cold_start"
    assert open_alerts() == set()


def test_an_operator_is_called_when_trouble_lasts_not_at_the_first_sight_of_it(
    endpoint, graphql_account, settings
):
    settings.JOBS_ALERT_SECONDS = 60
    wait_at(endpoint)
    seen(endpoint, graphql_account, throttled=1)
    assert open_alerts() == set()
    since = (now() - timedelta(seconds=61)).isoformat()
    endpoint.refresh_from_db()
    stored = {**endpoint.diagnosis, "since": since}
    Endpoint.objects.filter(pk=endpoint.pk).update(diagnosis=stored)
    seen(endpoint, graphql_account, throttled=1)
    assert open_alerts() == {"no_capacity"}
    seen(endpoint, graphql_account, initializing=1)
    seen(endpoint, graphql_account, throttled=1)
    assert open_alerts() == set()


def test_the_log_of_a_sick_worker_is_read_without_its_secrets(
    endpoint, graphql_account
):
    wait_at(endpoint)
    graphql_account.workers[endpoint.runpod_id] = [{"id": "w1", "status": "UNHEALTHY"}]
    graphql_account.logs["w1"] = [
        f"downloading with {TOKEN}",
        f"OSError: [Errno 28] No space left on device token={TOKEN}",
        "worker exited with exit code 139",
    ]
    verdict = seen(endpoint, graphql_account, unhealthy=1)
    assert verdict.cause == "disk_full"
    assert "a worker ended with exit code 139" in verdict.evidence
    # 16 GB compressed, and a container disk as reckoned: that was not the reason
    assert any("needs 60 GB" in one for one in verdict.evidence)
    endpoint.refresh_from_db()
    assert TOKEN not in json.dumps(endpoint.observed)
    assert TOKEN not in Alert.objects.get().message


def test_scaled_to_zero_is_seen_and_waking_ends_it(endpoint, graphql_account):
    wait_at(endpoint)
    graphql_account.endpoints[endpoint.runpod_id]["workersMax"] = 0
    assert seen(endpoint, graphql_account).cause == "scaled_to_zero"
    provisioning.wake(Endpoint.objects.get())
    assert graphql_account.endpoints[endpoint.runpod_id]["workersMax"] == 3
    assert seen(endpoint, graphql_account).cause != "scaled_to_zero"


def test_a_release_in_progress_is_seen(endpoint, graphql_account):
    wait_at(endpoint)
    graphql_account.releases[endpoint.runpod_id][0]["status"] = "IN_PROGRESS"
    assert seen(endpoint, graphql_account).cause == "release_in_progress"


def test_a_negative_balance_is_told_from_a_lost_endpoint(endpoint, graphql_account):
    job = wait_at(endpoint)
    make_job("COMPLETED", endpoint=endpoint, runpod_id="b")
    graphql_account.set_balance(-3)
    sampling.sample_accounts()
    for _ in range(3):
        seen(endpoint, graphql_account)
    row = Endpoint.objects.filter(pk=endpoint.pk)
    row.update(unreachable_at=now() - timedelta(minutes=1))
    assert seen(endpoint, graphql_account).cause == "balance"
    assert open_alerts() == {"balance_low", "endpoint_not_found"}
    job.refresh_from_db()
    assert "top up the account" in explain.sentence(job)
    graphql_account.set_balance(20)
    AccountSample.objects.all().delete()
    sampling.sample_accounts()
    verdict = seen(endpoint, graphql_account)
    assert verdict.cause == "endpoint_gone"
    assert "Recreate it" in verdict.next_step
    assert open_alerts() == {"endpoint_not_found"}


@pytest.mark.parametrize(
    ("fault", "cause"),
    [((401, {}), "key_refused"), ((402, {}), "balance"), ((429, {}), "rate_limited")],
)
def test_refusals_are_seen_and_are_over_with_the_first_good_answer(
    endpoint, graphql_account, fault, cause
):
    wait_at(endpoint)
    graphql_account.fault = fault
    assert seen(endpoint, graphql_account).cause == cause
    graphql_account.fault = None
    assert seen(endpoint, graphql_account, running=1).cause == "loading"


def test_each_endpoint_is_looked_at_once_and_more_often_with_jobs(endpoint):
    waits = make_endpoint("other", runpod_id="other")
    nowhere = make_endpoint("new", runpod_id="")
    assert {one.pk for one in sampling.due()} == {endpoint.pk, waits.pk}
    assert (sampling.sample_due(), sampling.sample_due()) == (2, 0)
    make_job("IN_QUEUE", endpoint=waits)
    past = now() - timedelta(seconds=30)
    Endpoint.objects.update(sampled_at=past)
    assert sampling.due() == [waits]
    Lease.take("sampling", holder="somebody else", seconds=9)
    assert sampling.sample_due() == 0
    Lease.objects.all().delete()
    assert sampling.sample_due() == 1
    assert nowhere not in sampling.due()


def test_a_local_queue_without_workers_says_so(settings):
    settings.INTERNAL_URL = "http://127.0.0.1:9"
    endpoint = make_local()
    job = wait_at(endpoint)
    sampling.sample(endpoint)
    assert diagnosis.of(endpoint).cause == "no_worker"
    reason = "_runner_is_ready: RuntimeError: no weights here"
    LocalWorker.objects.create(
        id="w", queue="local", unhealthy_reason=reason, gone_at=now()
    )
    assert reason in diagnosis.of(endpoint).evidence[0]
    assert "Your job keeps its place" in explain.sentence(job)
    LocalWorker.objects.create(id="w2", queue="local")
    assert diagnosis.of(endpoint).cause == "unknown"


def test_money_is_sampled_and_a_low_balance_is_told_until_it_is_topped_up(
    graphql_account,
):
    graphql_account.balance, graphql_account.spend = 10.0, 0.5
    sampling.sample_accounts()
    assert AccountSample.objects.get().days_left == pytest.approx(10 / 12)
    alert = Alert.objects.get(code="balance_low")
    assert alert.subject == "RUNPOD_API_KEY"
    assert "lasts 0.8 days" in alert.message
    sampling.sample_accounts()
    assert Alert.objects.count() == 2
    graphql_account.balance, graphql_account.spend = 100_000.0, 90.0
    sampling.sample_accounts()
    assert open_alerts() == {"spend_limit", "storage_only"}


def test_money_that_goes_while_nothing_runs_is_storage(endpoint, graphql_account):
    graphql_account.spend = 0.047
    sampling.sample_accounts()
    [alert] = Alert.objects.filter(resolved_at=None)
    assert "about $34.31 a month" in alert.message
    seen(endpoint, graphql_account, idle=1, queue=0)
    sampling.sample_accounts()
    assert open_alerts() == set()


def test_a_person_who_asks_sees_the_newest_release(endpoint, graphql_account):
    graphql_account.releases[endpoint.runpod_id][0]["status"] = "IN_PROGRESS"
    sampling.sample(endpoint)
    assert endpoint.observed == {}
    sampling.sample(endpoint, is_asked=True)
    assert endpoint.observed["release"] == "IN_PROGRESS"
    assert diagnosis.of(endpoint) is None


def test_an_account_that_does_not_answer_changes_nothing(graphql_account):
    graphql_account.fault = (503, {})
    sampling.sample_accounts()
    assert not AccountSample.objects.exists()


def test_old_samples_are_thinned_to_one_an_hour_and_go_after_ninety_days(endpoint):
    hour = (now() - timedelta(days=2, hours=3)).replace(
        minute=0, second=0, microsecond=0
    )
    times = [hour + timedelta(minutes=n) for n in range(0, 120, 10)]
    times += [now() - timedelta(days=91), now() - timedelta(minutes=5)]
    HealthSample.objects.bulk_create(
        HealthSample(endpoint=endpoint, taken_at=at) for at in times
    )
    assert sampling.thin() == 11
    kept = list(HealthSample.objects.values_list("taken_at", flat=True))
    assert kept == [times[5], times[11], times[-1]]
    assert sampling.thin() == 0


def test_the_doctor_explains_an_endpoint(endpoint, graphql_account):
    assert "nothing is wrong" in doctor("upscale")
    wait_at(endpoint)
    graphql_account.health[endpoint.runpod_id] = {"workers": {"throttled": 1}}
    Endpoint.objects.update(observed={})
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("doctor", "upscale", "--json", stdout=out)
    [finding] = json.loads(out.getvalue())["findings"]
    assert "no_capacity" in finding["text"]
    assert "Add GPU tiers" in finding["remedy"]
    with pytest.raises(CommandError, match="There is no endpoint"):
        doctor("nope")


def test_pages_ask_no_one(endpoint, graphql_account, client):
    job = wait_at(endpoint)
    seen(endpoint, graphql_account, throttled=1)
    graphql_account.requests.clear()
    client.force_login(job.owner)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert "No GPU of the wanted kind is free" in page
    assert "out of stock" not in page
    assert graphql_account.requests == []


def test_the_api_tells_users_a_sentence_and_staff_the_evidence(
    endpoint, graphql_account, client
):
    wait_at(endpoint)
    seen(endpoint, graphql_account, throttled=1)
    for user in (make_user(), make_user("boss", is_staff=True)):
        bearer = {"Authorization": f"Bearer {make_key(user)}"}
        shown = client.get("/api/v1/endpoints/upscale", headers=bearer).json()[
            "diagnosis"
        ]
        assert shown["cause"] == "no_capacity"
        assert bool(shown["evidence"]) is user.is_staff
        assert bool(shown["next_step"]) is user.is_staff


def test_a_deleted_endpoint_raises_no_alarm_and_is_looked_at_no_more(
    endpoint, graphql_account
):
    wait_at(endpoint)
    seen(endpoint, graphql_account, throttled=1)
    Job.objects.all().delete()
    provisioning.delete(Endpoint.objects.get())
    assert open_alerts() == set()
    Endpoint.objects.update(sampled_at=None)
    assert sampling.due() == []


def test_samples_of_long_ago_are_thinned_too_when_nobody_did_so_then(endpoint):
    hour = (now() - timedelta(days=30)).replace(minute=0, second=0, microsecond=0)
    for n in range(4):
        HealthSample.objects.create(
            endpoint=endpoint, taken_at=hour + timedelta(minutes=n)
        )
    assert sampling.thin() == 3


def test_alerts_of_an_account_whose_key_was_taken_out_are_closed(
    graphql_account, settings
):
    graphql_account.balance = -1
    sampling.sample_accounts()
    assert "balance_low" in open_alerts()
    settings.RUNPOD_KEYS = {}
    sampling.sample_accounts()
    assert open_alerts() == set()


def test_what_a_worker_says_of_itself_is_kept_without_secrets():
    workers.unhealthy("q", "w", f"cannot load https://hub/x?token={TOKEN}")
    assert TOKEN not in LocalWorker.objects.get().unhealthy_reason
