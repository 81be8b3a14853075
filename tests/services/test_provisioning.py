"""Endpoints at RunPod, from an empty account to one that is made anew."""

import json
import re
from dataclasses import asdict, fields
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from jobs.admin.provision import ProvisionForm
from jobs.lib.errors import Conflict, InvalidInput
from jobs.models import Alert, AuditEntry, Endpoint
from jobs.runpod.account import Template
from jobs.runpod.errors import NoAnswer, RunPodError
from jobs.services.operations import (
    accounts,
    endpoint_spec,
    endpoints,
    overviews,
    provisioning,
)
from jobs.services.operations.endpoint_spec import EndpointSpec
from tests.factories import make_endpoint, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]
SECRET = "canary-4f2a-env-value"


def spec(**changes):
    fields = {
        "name": "upscale",
        "image": "you/worker:1",
        "gpu_ids": ("AMPERE_48", "ADA_48_PRO"),
        "env": {"API_TOKEN": SECRET},
        "models": ("org/small",),
        "has_volume": True,
        "data_center": "US-TX-3",
        "workers_max": 3,
    }
    return EndpointSpec(**{**fields, **changes})


def command(*words):
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


# --- every way in knows every field ----------------------------------------------------
OTHER_THAN_DEFAULT = spec(
    start_command="python -u /handler.py",
    volume_gb=60,
    container_disk_gb=80,
    workers_min=1,
    workers_max=5,
    idle_seconds=30,
    scaler_type="REQUEST_COUNT",
    scaler_value=9,
)


def test_no_field_was_forgotten_here():
    for field in fields(EndpointSpec):
        assert getattr(OTHER_THAN_DEFAULT, field.name) != field.default, field.name


def test_the_form_has_every_field():
    values = asdict(OTHER_THAN_DEFAULT)
    values |= {"env": f"API_TOKEN={SECRET}", "models": "org/small"}
    form = ProvisionForm({**values, "contract": "slipway"})
    assert form.is_valid(), form.errors
    assert form.spec() == OTHER_THAN_DEFAULT


def test_the_command_and_both_apis_have_every_field(our_account):
    command(
        *("provision", "upscale", "--image", "you/worker:1"),
        *("--gpu", "AMPERE_48", "--gpu", "ADA_48_PRO", "--env", f"API_TOKEN={SECRET}"),
        *("--model", "org/small", "--volume", "US-TX-3", "--volume-gb", "60"),
        *("--container-disk-gb", "80", "--workers-min", "1", "--workers-max", "5"),
        *("--idle-seconds", "30", "--start-command", "python -u /handler.py"),
        *("--scaler-type", "REQUEST_COUNT", "--scaler-value", "9"),
    )
    with accounts.open_account() as account:
        [made] = account.endpoints()
        [volume] = account.volumes()
    template = OTHER_THAN_DEFAULT.template(
        endpoint_spec.look_up(OTHER_THAN_DEFAULT), made.template.id
    )
    wanted = OTHER_THAN_DEFAULT.endpoint(template, volume.id, made.id)
    # The REST API refuses an idle time-out beside REQUEST_COUNT.
    assert made in (wanted, wanted.with_(idle_seconds=EndpointSpec.idle_seconds))
    assert volume.size_gb == 60


def test_an_empty_account_gets_volume_template_and_endpoint(our_account):
    endpoint = provisioning.provision(spec(), runner="upscale", user=make_user())
    [volume] = our_account.volumes.values()
    assert (volume["name"], volume["size"]) == ("upscale-models", 12)
    [remote] = our_account.endpoints.values()
    assert endpoint.runpod_id == remote["id"]
    assert remote["networkVolumeId"] == volume["id"]
    assert (remote["workersMax"], endpoint.max_workers) == (3, 3)
    template = our_account.templates[remote["templateId"]]
    # 16 GB compressed x 2.5 + 20
    assert template["containerDiskInGb"] == 60
    env = {one["key"]: one["value"] for one in template["env"]}
    assert env == {"API_TOKEN": SECRET, "HF_HOME": "/runpod-volume/huggingface"}
    assert endpoint.kind == Endpoint.Kind.RUNPOD
    assert endpoint.runner == "upscale"
    assert endpoints.client_for(endpoint).health().workers["idle"] == 0


def test_the_exact_requests_of_graphql(graphql_account):
    provisioning.provision(spec())
    operations = [
        query.split("(")[0].split("{")[0].strip()
        for query, _ in graphql_account.requests
    ]
    assert operations == ["query", "mutation", "query", "mutation", "mutation"]
    [variables] = graphql_account.asked("saveEndpoint(")
    [template] = graphql_account.templates
    [volume] = graphql_account.volumes
    assert variables == {
        "input": {
            "name": "upscale",
            "templateId": template,
            "gpuIds": "AMPERE_48,ADA_48_PRO",
            "networkVolumeId": volume,
            "locations": "US-TX-3",
            "workersMin": 0,
            "workersMax": 3,
            "idleTimeout": 5,
            "scalerType": "QUEUE_DELAY",
            "scalerValue": 4,
        }
    }


def test_a_plan_changes_nothing_and_says_everything(our_account):
    plan = provisioning.plan(spec(models=("Wan-AI/Wan2.1-T2V-14B",)))
    assert not plan.problems
    assert plan.sizes.models_gb["Wan-AI/Wan2.1-T2V-14B"] == pytest.approx(69, abs=0.1)
    assert "Buy the volume upscale-models: 79 GB in US-TX-3." in plan.steps
    assert "60 GB of container disk" in plan.steps[1]
    assert SECRET not in str(plan.steps)
    written = our_account.asked("mutation") + our_account.asked("POST")
    assert (our_account.volumes, our_account.endpoints, written) == ({}, {}, [])


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"env": {"MODEL_DIR": "/workspace/models"}}, "env", "/runpod-volume"),
        ({"env": {"HF_HOME": "/root/hf"}}, "env", "below /runpod-volume"),
        (
            {
                "start_command": "git clone https://me:ghp_abcdefghijklmnop1234@github.com/x"
            },
            *("start_command", "token"),
        ),
        ({"gpu_ids": ()}, "gpu_ids", "at least one"),
        (
            {"gpu_ids": ("AMPERE_47",)},
            "gpu_ids",
            "Unknown: AMPERE_47. Known: AMPERE_16",
        ),
        ({"workers_max": 0}, "workers_max", "no job"),
        ({"workers_min": 9}, "workers_min", "not exceed"),
        ({"image": "you/missing:1"}, "image", "no public entry"),
        ({"models": ("no/such",)}, "models", "no/such"),
        ({"data_center": ""}, "data_center", "choose one"),
        (
            {"models": ("Wan-AI/Wan2.1-T2V-14B",), "volume_gb": 50},
            *("volume_gb", "need 69 GB, so 50 GB is too small"),
        ),
        ({"idle_seconds": 0}, "idle_seconds", "Choose"),
        ({"name": "ab"}, "name", "3 characters"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_bought(
    graphql_account, changes, field, words
):
    with pytest.raises(InvalidInput) as caught:
        provisioning.provision(spec(**changes))
    problems = {one.pointer: one.message for one in caught.value.problems}
    assert words in problems[f"/{field}"]
    assert "ghp_" not in str(caught.value)
    assert (graphql_account.volumes, graphql_account.templates) == ({}, {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpu_ids": ("ADA_24",)}, "one GPU tier"),
        ({"start_command": "python x.py || true"}, "hides the failure"),
        ({"container_disk_gb": 20}, "needs 60 GB"),
        ({"workers_min": 1}, "always on"),
        ({}, "ties workers to its data centre"),
        (
            {"has_volume": False, "models": ("Wan-AI/Wan2.1-T2V-14B",)},
            "at every cold start",
        ),
        ({"image": "ghcr.io/you/worker:1"}, "size is unknown"),
    ],
)
def test_what_will_hurt_is_told(graphql_account, changes, words):
    assert any(
        words in warning for warning in provisioning.plan(spec(**changes)).warnings
    )


def test_provisioning_that_died_goes_on_without_paying_twice(graphql_account):
    provisioning.provision(spec())
    graphql_account.endpoints.clear()  # died before the endpoint was made
    provisioning.provision(spec())
    provisioning.provision(spec(workers_max=5))
    assert len(graphql_account.volumes) == len(graphql_account.endpoints) == 1
    assert len(graphql_account.templates) == 1
    assert Endpoint.objects.get().max_workers == 5


def test_a_template_that_nobody_remembers_does_not_block_its_name(graphql_account):
    with accounts.open_account() as account:
        account.save_template(Template("upscale", "you/worker:1"))
    endpoint = provisioning.provision(spec())
    assert endpoint.runpod_id in graphql_account.endpoints
    assert len(graphql_account.templates) == 2


def test_a_release_refuses_paths_where_no_volume_is(graphql_account):
    endpoint = provisioning.provision(spec())
    with pytest.raises(InvalidInput, match="not /workspace"):
        provisioning.release(endpoint, env={"MODEL_DIR": "/workspace/models"})


def test_a_release_changes_the_template_first_and_then_the_endpoint(our_account):
    endpoint = provisioning.provision(spec())
    our_account.requests.clear()
    provisioning.release(endpoint, image="you/worker:2", env={"LEVEL": "1"})
    writes = [
        re.search(r"saveTemplate|saveEndpoint|PATCH /v2/serverless|$", what).group()
        for what, _ in our_account.requests
    ]
    assert [what for what in writes if what] in (
        ["saveTemplate", "saveEndpoint"],
        ["PATCH /v2/serverless"],
    )
    [remote] = our_account.endpoints.values()
    template = our_account.templates[remote["templateId"]]
    assert template["imageName"] == "you/worker:2"
    assert {one["key"] for one in template["env"]} == {"API_TOKEN", "LEVEL", "HF_HOME"}
    assert remote["workersMax"] == 3
    provisioning.release(endpoint, env={"LEVEL": ""})
    template = our_account.templates[remote["templateId"]]
    assert {one["key"] for one in template["env"]} == {"API_TOKEN", "HF_HOME"}


def test_a_dead_endpoint_is_made_anew_and_everything_names_the_new_one(our_account):
    endpoint = provisioning.provision(spec())
    twin = make_endpoint("twin", runpod_id=endpoint.runpod_id)
    our_account.set_balance(-1)
    endpoints.mark_unreachable(endpoint)
    with pytest.raises(Conflict, match="Top it up"):
        provisioning.recreate(endpoint)
    our_account.set_balance(20)
    with pytest.raises(RunPodError):  # the money is there; the endpoint stays dead
        endpoints.client_for(endpoint).health()
    old = endpoint.runpod_id
    new = provisioning.recreate(endpoint)
    assert new != old
    assert set(our_account.endpoints) == {new}
    remote = our_account.endpoints[new]
    assert (remote["gpuIds"], remote["workersMax"]) == ("AMPERE_48,ADA_48_PRO", 3)
    template = our_account.templates[remote["templateId"]]
    assert SECRET in {one["value"] for one in template["env"]}
    twin.refresh_from_db()
    assert (endpoint.runpod_id, twin.runpod_id) == (new, new)
    assert endpoint.unreachable_at is None
    assert not Alert.objects.filter(resolved_at=None).exists()
    assert endpoints.client_for(endpoint).health().workers["idle"] == 0


def test_recreating_goes_on_where_it_died(graphql_account, monkeypatch):
    endpoint = provisioning.provision(spec())
    with monkeypatch.context() as patched:
        patched.setattr(provisioning, "repoint", _die)
        with pytest.raises(SystemExit):
            provisioning.recreate(endpoint)
    endpoint.refresh_from_db()
    [made] = graphql_account.endpoints
    assert endpoint.runpod_id != made
    assert provisioning.recreate(endpoint) == made
    assert list(graphql_account.endpoints) == [made]
    # And where it died between deleting and making.
    graphql_account.endpoints.clear()
    assert provisioning.recreate(endpoint) in graphql_account.endpoints


def _die(*_):
    raise SystemExit


def test_an_endpoint_that_nobody_remembers_cannot_be_made_anew(graphql_account):
    with pytest.raises(Conflict, match="Provision a new one"):
        provisioning.recreate(make_endpoint(runpod_id="gone"))


def test_pause_and_wake(our_account):
    endpoint = provisioning.provision(spec(workers_min=1))
    provisioning.pause(endpoint)
    [remote] = our_account.endpoints.values()
    assert (endpoint.is_active, remote["workersMin"]) == (False, 0)
    [one] = our_account.endpoints
    our_account.endpoints[one]["workersMax"] = 0  # RunPod does so after idle days
    provisioning.wake(Endpoint.objects.get())
    [remote] = our_account.endpoints.values()
    assert (remote["workersMin"], remote["workersMax"]) == (1, 3)
    assert Endpoint.objects.get().is_active


def test_deleting_leaves_our_row_and_its_jobs(our_account):
    endpoint = provisioning.provision(spec())
    provisioning.delete(endpoint)
    assert our_account.endpoints == {}
    endpoint.refresh_from_db()
    assert not endpoint.is_active
    if our_account.templates:  # REST deletes the template too, with its variables
        assert provisioning.recreate(endpoint) in our_account.endpoints


def test_every_action_leaves_a_line_without_secrets(graphql_account):
    endpoint = provisioning.provision(spec(), user=make_user())
    provisioning.release(endpoint, image="you/worker:2", env={"OTHER": SECRET})
    provisioning.recreate(endpoint)
    provisioning.pause(endpoint)
    provisioning.wake(endpoint)
    provisioning.delete(endpoint)
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions == [
        *("volume_bought", "provisioned", "released", "recreated"),
        *("paused", "woken", "deleted_at_runpod"),
    ]
    everything = json.dumps(
        [
            *AuditEntry.objects.values_list("detail", flat=True),
            Endpoint.objects.get().remote,
        ]
    )
    assert "canary" not in everything


def test_all_of_it_by_command(graphql_account):
    words = ["provision", "upscale", "--image", "you/worker:1", "--gpu", "ADA_24"]
    output = command(*words, "--dry-run")
    assert "Create the endpoint upscale" in output
    assert graphql_account.endpoints == {}
    assert "upscale is endpoint" in command(*words)
    assert "you/worker:2 is being rolled out" in command(
        "endpoint", "release", "upscale", "--image", "you/worker:2"
    )
    graphql_account.set_balance(-1)
    with pytest.raises(CommandError, match="Top it up"):
        command("endpoint", "recreate", "upscale")
    graphql_account.set_balance(9)
    assert "is now" in command("endpoint", "recreate", "upscale")
    assert "2 jobs dropped" in command("purge_queue", "upscale")
    assert "paused" in command("endpoint", "pause", "upscale")
    assert "awake" in command("endpoint", "wake", "upscale")
    assert "upscale" in command("audit")
    assert "deleted" in command("endpoint", "delete", "upscale")
    with pytest.raises(CommandError, match="There is no endpoint"):
        command("endpoint", "wake", "nope")
    with pytest.raises(CommandError, match="Write NAME=value, not “oops”"):
        command("endpoint", "release", "upscale", "--env", "oops")
    with pytest.raises(CommandError, match="gpu_ids: Unknown"):
        command(*words[:-1], "RTX_9")


def test_the_audit_sees_what_costs_and_what_is_odd(graphql_account):
    provisioning.provision(spec(gpu_ids=("ADA_24",)))
    graphql_account.pods = [
        {"id": "p", "name": "dev", "desiredStatus": "EXITED", "imageName": "x"}
    ]
    make_endpoint("lost", runpod_id="nowhere")
    graphql_account.balance = 0.5
    account = json.loads(command("audit", "--json"))["accounts"][0]
    assert account["balance"] == "0.5"
    assert account["endpoints"][0]["slugs"] == ["upscale"]
    assert SECRET not in json.dumps(account)
    findings = " ".join(account["findings"])
    assert "an hour while no pod runs: storage" in findings
    assert "no endpoint nowhere" in findings
    assert "one GPU tier in one data centre" in findings
    [one] = graphql_account.endpoints
    graphql_account.endpoints[one]["workersMax"] = 0
    graphql_account.pods[0]["desiredStatus"] = "RUNNING"
    graphql_account.balance = -2
    findings = " ".join(overviews.overview().findings)
    assert "404 for every endpoint" in findings
    assert "Wake it" in findings
    assert "The pod dev is running" in findings


def test_trouble_of_the_account_is_told_plainly(graphql_account, settings):
    graphql_account.fault = (503, {})
    with pytest.raises(CommandError, match="RunPod answered 503"):
        command("audit")
    with pytest.raises(NoAnswer):
        provisioning.provision(spec())
    settings.RUNPOD_KEYS = {"": ""}
    with pytest.raises(CommandError, match="RUNPOD_API_KEY is not set"):
        command("audit")


def test_sizes_by_command(graphql_account):
    output = command("model_size", "Wan-AI/Wan2.1-T2V-14B")
    assert "Total: 69.00 GB in 7 files. A volume of 79 GB holds it." in output
    sizes = json.loads(command("model_size", "org/small", "--json"))
    assert (sizes["bytes"], len(sizes["files"])) == (2_000_000_500, 2)
    with pytest.raises(CommandError, match="no public entry"):
        command("model_size", "no/such")
    with pytest.raises(CommandError, match="organisation/name"):
        command("model_size", "x; rm -rf")
    assert "Container disk: 60 GB" in command("disk_size", "16", "--models-gb", "28")
    sizes = json.loads(
        command(
            "disk_size", "you/worker:1", "--no-volume", "--models-gb", "28", "--json"
        )
    )
    assert sizes["container_disk_gb"] == 90
    assert "exit code" not in repr(Template("a", "b", env={"K": SECRET}))
    assert SECRET not in repr(Template("a", "b", env={"K": SECRET}))
