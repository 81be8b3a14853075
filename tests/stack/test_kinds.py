"""Every kind of runner and everything that may happen, on the real SDK.

A worker of its own for each kind takes jobs from a local endpoint of its own.
"""

import contextlib
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import uuid

import pytest

from jobs.management.processes import end_with_parent
from tests.stack.stack import PATIENCE_SECONDS, ROOT, create, until, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.one_database]
KINDS = {
    "plain": "kinds:Plain",
    "async": "kinds:Async",
    "generator": "kinds:Generator",
    "async_generator": "kinds:AsyncGenerator",
    "batch": "slipway_worker.batch:Batch",
}
HANDLER = """
import time
from pathlib import Path


class Handler:
    def __init__(self, config):
        pass

    def handle_batch(self, payload):
        job = payload[0]
        if job["do"] == "user_error":
            raise ValueError("The lens is dirty.")
        if job["do"] == "bug":
            raise RuntimeError("lost at https://x/y?token=canary-7b1c-secret")
        if job["mark"] and not Path(job["mark"]).exists():
            Path(job["mark"]).write_text("begun")
        time.sleep(job["seconds"])
        return "batch"
"""


class Workers:
    """Starts workers of one kind by hand, as the README says."""

    def __init__(self, stack, folder, kind):
        self._stack, self._folder, self._started = stack, folder, []
        self.kind, self.slug = kind, f"kind-{uuid.uuid4().hex[:8]}"
        project = folder / "project"
        project.mkdir()
        (project / "handler.py").write_text(HANDLER)
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT / "tests" / "worker"),
            "SLIPWAY_RUNNER": KINDS[kind],
            "CANARY_SECRET": "canary-7b1c-secret",
            **({"SLIPWAY_BATCH": str(project)} if kind == "batch" else {}),
        }
        stack.manage(
            *("shell", "-v", "0", "-c"),
            "from jobs.models import Endpoint;"
            f"Endpoint.objects.create(slug='{self.slug}', title='{kind}', kind='local',"
            f"contract='slipway', runner='{KINDS[kind]}', proof_seconds=30)",
        )
        for line in stack.manage("worker_env", self.slug).splitlines():
            for word in shlex.split(line.removeprefix("export ")):
                name, separator, value = word.partition("=")
                if separator:
                    self._environment[name] = value

    def start(self, **environment):
        path = self._folder / f"{len(self._started)}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-u", str(ROOT / "worker_handler" / "handler.py")],
                env={**self._environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self._started.append(process)
        return process

    def log(self):
        return "".join(path.read_text() for path in self._folder.glob("*.log"))

    def stop(self):
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module", params=list(KINDS))
def workers(request, kind_stack, tmp_path_factory):
    made = Workers(kind_stack, tmp_path_factory.mktemp("workers"), request.param)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def kind_stack(installations):
    with installations.running(
        "kinds",
        # A worker that ends waits for its last poll; so does who notices that it is dead.
        JOBS_LONG_POLL_SECONDS="2",
        JOBS_ITEM_GONE_SECONDS="4",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(kind_stack):
    with kind_stack.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def worker(workers):
    """Return the worker that takes the jobs; the one before may have ended."""
    running = []

    def get():
        if not running or running[-1].poll() is not None:
            running.append(workers.start())
        return running[-1]

    return get


def submit(client, workers, do="succeed", seconds=0.0, mark=""):
    job_input = {"do": do, "seconds": seconds, "mark": str(mark)}
    job_input = {"payload": [job_input]} if workers.kind == "batch" else job_input
    return create(client, workers.slug, **job_input)


def output_of(kind):
    """Return what a job that succeeds has as output."""
    return {
        "plain": {"said": "plain"},
        "async": {"said": "async"},
        "generator": {"said": "generator"},
        "async_generator": [{"n": 1}, {"n": 2}],
        "batch": {"result": "batch"},
    }[kind]


def check_success(client, workers, id):
    job = until(client, id)
    assert job["status"] == "COMPLETED", job
    assert job["output"] == output_of(workers.kind)
    if workers.kind in {"plain", "async", "generator"}:
        (file,) = job["outputs"]
        content = client.get(file["url"], follow_redirects=True).content
        assert content == workers.kind.encode()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    else:
        assert job["outputs"] == []
    return job


def quick(*kinds):
    """Run a test with every kind, as all are; but with these in the quick suite, too."""
    kinds = [
        pytest.param(kind, marks=pytest.mark.smoke if kind in kinds else ())
        for kind in KINDS
    ]
    return pytest.mark.parametrize("workers", kinds, indirect=True, scope="module")


@quick("plain", "async_generator")
def test_success(client, workers, worker):
    worker()
    check_success(client, workers, submit(client, workers))
    # Else a worker that dies between two polls is noticed an hour late.
    assert "pings will not be sent" not in workers.log()


def test_an_error_of_the_user_is_told_in_its_words(client, workers, worker):
    worker()
    job = until(client, submit(client, workers, "user_error"))
    assert job["status"] == "FAILED"
    assert "The lens is dirty." in job["error"]["message"]
    code = "worker_error" if workers.kind == "batch" else "invalid_input"
    assert job["error"]["code"] == code
    check_success(client, workers, submit(client, workers))


def test_a_bug_is_told_without_secrets_and_the_next_job_runs(client, workers, worker):
    worker()
    job = until(client, submit(client, workers, "bug"))
    assert (job["status"], job["error"]["code"]) == ("FAILED", "worker_error")
    assert "RuntimeError: lost at" in job["error"]["message"]
    assert "canary" not in job["error"]["message"]
    check_success(client, workers, submit(client, workers))
    assert "Traceback" in workers.log()
    assert "canary" not in workers.log()


def test_cancelling_stops_the_work_before_the_next_job(
    client, workers, worker, tmp_path
):
    worker()
    seconds = 3 if workers.kind == "batch" else 60  # a Handler cannot be interrupted
    id = submit(client, workers, seconds=seconds, mark=tmp_path / "mark")
    wait_until((tmp_path / "mark").exists)
    client.post(f"/api/v1/jobs/{id}/cancel").raise_for_status()
    job = until(client, id)
    assert (job["status"], job["reason"]) == ("CANCELLED", "user")
    check_success(client, workers, submit(client, workers))


def test_sigterm_lets_the_job_in_hand_end(client, workers, worker, tmp_path):
    process = worker()
    id = submit(client, workers, seconds=3, mark=tmp_path / "mark")
    wait_until((tmp_path / "mark").exists)
    process.send_signal(signal.SIGTERM)
    check_success(client, workers, id)
    assert process.wait(timeout=PATIENCE_SECONDS) == 0


def test_the_job_of_a_killed_worker_is_done_by_the_next(
    client, workers, worker, tmp_path
):
    process = worker()
    id = submit(client, workers, seconds=4, mark=tmp_path / "mark")
    wait_until((tmp_path / "mark").exists)
    process.kill()
    process.wait()
    worker()
    check_success(client, workers, id)


def test_a_result_waits_until_the_server_is_back(
    client, workers, worker, tmp_path, kind_stack
):
    worker()
    id = submit(client, workers, seconds=2, mark=tmp_path / "mark")
    wait_until((tmp_path / "mark").exists)
    kind_stack.freeze("web")
    kind_stack.kill("web")
    check_success(client, workers, id)


def test_a_worker_that_cannot_work_says_why_and_ends(kind_stack, client, tmp_path):
    workers = Workers(kind_stack, tmp_path, "plain")
    process = workers.start(SLIPWAY_RUNNER="kinds:Broken")
    assert process.wait(timeout=PATIENCE_SECONDS) == 1
    health = client.get(f"/v2/{workers.slug}/health").json()
    assert health["workers"]["unhealthy"] == 1
