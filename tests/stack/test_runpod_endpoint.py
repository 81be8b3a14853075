"""An endpoint on RunPod, by a scripted RunPod in a process of its own."""

import subprocess
import sys
import uuid

import httpx
import pytest

from tests.stack.stack import ROOT, create, free_port, until, wait_until

pytestmark = pytest.mark.stack
PROOF_SECONDS = 3


@pytest.fixture(scope="module")
def fake(stack):
    """Start the fake; add a `plain` endpoint that lives there."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_runpod", str(port)], cwd=ROOT
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

        def is_up():
            try:
                return client.get("/_journal").is_success
            except httpx.TransportError:
                return False

        wait_until(is_up)
        client.slug = f"cloud-{uuid.uuid4().hex[:6]}"
        base = f"http://127.0.0.1:{port}/v2"
        added = stack.manage(
            "add_endpoint", client.slug, "--runpod-id", "ep1", "--api-base", base, "--contract", "plain"
        )  # fmt: skip
        assert base in added
        code = (
            "from jobs.models import Endpoint;"
            f"Endpoint.objects.filter(slug='{client.slug}').update(proof_seconds={PROOF_SECONDS})"
        )
        stack.manage("shell", "-v", "0", "-c", code)
        yield client
    process.terminate()
    process.wait()


@pytest.fixture
def script(fake):
    def write(**wanted):
        fake.post("/_script", json=wanted).raise_for_status()

    yield write
    write()


def runs_of(fake, mark):
    return [
        row for row in fake.get("/_journal").json() if row["input"].get("mark") == mark
    ]


def test_a_job_runs_once_and_its_output_is_kept(api, fake, script):
    script()
    job = until(api, create(api, fake.slug, mark="once"))
    assert (job["status"], job["output"]) == ("COMPLETED", {"echo": {"mark": "once"}})
    assert len(runs_of(fake, "once")) == 1


@pytest.mark.parametrize("webhooks", [0, 3])
def test_webhooks_may_be_lost_or_repeated(api, fake, script, webhooks):
    script(webhooks=webhooks)
    job = until(api, create(api, fake.slug, mark=f"hooks{webhooks}"))
    assert job["status"] == "COMPLETED"
    assert len(runs_of(fake, f"hooks{webhooks}")) == 1


def test_trouble_while_asking_changes_nothing(api, fake, script):
    troubles = ["429", "cut_before", "500", "502", "garbage", "unknown_job"]
    script(webhooks=0, faults=[{"route": "status", "fault": name} for name in troubles])
    job = until(api, create(api, fake.slug, mark="asked"))
    assert job["status"] == "COMPLETED"
    assert len(runs_of(fake, "asked")) == 1


def test_a_busy_runpod_is_asked_again(api, fake, script):
    script(faults=[{"route": "run", "fault": "429"}])
    job = until(api, create(api, fake.slug, mark="busy"))
    assert job["status"] == "COMPLETED"
    assert not job["may_have_run_twice"]
    assert len(runs_of(fake, "busy")) == 1


@pytest.mark.parametrize("fault", ["cut_after", "cut_before"])
def test_a_run_without_an_answer_is_sent_again_and_says_so(api, fake, script, fault):
    script(faults=[{"route": "run", "fault": fault}])
    job = until(api, create(api, fake.slug, mark=fault))
    assert job["status"] == "COMPLETED"
    assert job["may_have_run_twice"]
    assert len(runs_of(fake, fault)) == (2 if fault == "cut_after" else 1)


def test_a_failed_job_keeps_runpods_words(api, fake, script):
    script()
    job = until(api, create(api, fake.slug, fail="no such model"))
    assert (job["status"], job["error"]["message"]) == ("FAILED", "no such model")


def test_a_running_job_is_cancelled_with_runpods_proof(api, fake, script):
    script()
    id = create(api, fake.slug, seconds=60)
    until(api, id, "IN_PROGRESS")
    api.post(f"/api/v1/jobs/{id}/cancel").raise_for_status()
    job = until(api, id)
    assert (job["status"], job["reason"]) == ("CANCELLED", "user")


def test_a_purged_job_is_cancelled_as_purged(api, fake, script, stack):
    script(workers=0)
    id = create(api, fake.slug, mark="purged")
    until(api, id, "IN_QUEUE")
    stack.manage("purge_queue", fake.slug)
    job = until(api, id, seconds=10)
    assert (job["status"], job["reason"]) == ("CANCELLED", "purged")


def test_a_job_that_runpod_forgot_is_cancelled_when_that_is_certain(api, fake, script):
    script(webhooks=0, forget_after=0, faults=[])
    id = create(api, fake.slug, mark="forgotten")
    job = until(api, id, seconds=60)
    assert (job["status"], job["reason"]) in {
        ("CANCELLED", "not_found"),
        ("COMPLETED", ""),  # it was seen in the instant before
    }
