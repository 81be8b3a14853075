"""A program written for Cortex and a Handler written for Cortex, with Slipway between."""

import json
import subprocess
import sys
from collections import Counter

import httpx
import pytest

from tests.stack.stack import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.one_database]
HANDLER = """
import json
import os
from pathlib import Path

from cortex_internal.lib.log import logger as cortex_logger

DONE = Path("done.jsonl")


def note(**told):
    with DONE.open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), **told}) + "\\n")


class Handler:
    def __init__(self, config, job_spec):
        self.config, self.job = config, job_spec["job_id"]
        note(did="init", job=self.job, config=config)

    def handle_batch(self, payload, batch_id):
        note(did="batch", job=self.job, payload=payload, id=batch_id)
        cortex_logger.info("completed processing batch", extra={"batch_id": batch_id})
        if self.config.get("fail_once") in payload and not Path("failed").exists():
            Path("failed").touch()
            raise RuntimeError("the first time goes wrong")
        if self.config.get("fail") in payload:
            raise RuntimeError(f"cannot do {payload[0]}")
        return len(payload)

    def on_job_complete(self):
        note(did="complete", job=self.job)
"""
# As in Cortex's documentation of job submission: only the address has another host.
SCRIPT = """
import sys, json
import requests

batch_endpoint, items, config, more = sys.argv[1], *map(json.loads, sys.argv[2:])
job_spec = {
    "workers": 2,
    "item_list": {"items": items, "batch_size": 2},
    "config": config,
    **more,
}
response = requests.post(batch_endpoint, json=job_spec)
print(response.text)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "handler.py").write_text(HANDLER)
    (folder / "done.jsonl").touch()
    return folder


@pytest.fixture(scope="module")
def cortex_stack(installations, project):
    with installations.running("cortex", SLIPWAY_BATCH=str(project)) as running:
        yield running


@pytest.fixture(scope="module")
def submit(cortex_stack):
    key = cortex_stack.manage("create_api_key", "tester", "--create-user")
    address = f"http://x:{key.splitlines()[-1]}@127.0.0.1:{cortex_stack.port}"

    def run(items, config, **more):
        arguments = [json.dumps(argument) for argument in (items, config, more)]
        script = [sys.executable, "-c", SCRIPT, f"{address}/batch/batch", *arguments]
        done = subprocess.run(script, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return f"{address}/batch/batch?jobID={json.loads(done.stdout)['job_id']}"

    return run


def ended(url):
    def look():
        status = httpx.get(url, trust_env=False).json()["job_status"]
        return status if "end_time" in status else None

    return wait_until(look, what="the job ended")


def noted(project, url):
    lines = (project / "done.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return [line for line in entries if line["job"] == url.rpartition("=")[2]]


def test_a_cortex_program_and_a_cortex_handler_need_no_change(submit, project):
    url = submit(list(range(9)), {"size": 1})
    status = ended(url)
    assert status["status"] == "succeeded", status
    assert status["batch_metrics"]["succeeded"] == status["total_batch_count"] == 5
    did = noted(project, url)
    done = [line["payload"] for line in did if line["did"] == "batch"]
    assert sorted(done) == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
    counted = Counter(line["did"] for line in did)
    assert counted == {"init": 1, "batch": 5, "complete": 1}
    assert did[0]["config"] == {"size": 1}
    assert did[-1]["did"] == "complete"


def test_another_job_has_a_handler_of_its_own_in_the_warm_worker(submit, project):
    first = submit([1, 2], {"size": 2})
    ended(first)
    second = submit([1, 2], {"size": 3})
    ended(second)
    one, other = noted(project, first), noted(project, second)
    assert [line["did"] for line in one] == ["init", "batch", "complete"]
    assert [line["did"] for line in other] == ["init", "batch", "complete"]
    assert {line["pid"] for line in (*one, *other)} == {one[0]["pid"]}
    assert other[0]["config"] == {"size": 3}


def test_failures_are_tried_again_as_asked_and_completion_comes_all_the_same(
    submit, project
):
    letters = {"arn": "arn:aws:sqs:x", "max_receive_count": 2}
    config = {"fail_once": 0, "fail": 4}
    url = submit(list(range(6)), config, sqs_dead_letter_queue=letters)
    status = ended(url)
    assert status["status"] == "completed_with_failures"
    assert (status["failed_batches"], status["failed_attempts"]) == (1, 3)
    did = Counter(line["did"] for line in noted(project, url))
    assert (did["batch"], did["complete"]) == (5, 1)
    answer = httpx.delete(url, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["kind"] == "batchapi.job_is_not_in_progress"


def test_a_job_is_stopped(submit, project):
    url = submit(list(range(200)), {})
    assert (
        httpx.delete(url, trust_env=False).json()["message"].startswith("stopped job")
    )
    status = ended(url)
    assert status["status"] == "stopped"
    assert "complete" not in {line["did"] for line in noted(project, url)}
