"""The official `runpod` client and SDK workers started by hand, against `/v2/<slug>`."""

import contextlib
import os
import subprocess
import sys
import uuid

import pytest

from jobs.management.processes import end_with_parent
from tests.stack.stack import PATIENCE_SECONDS, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.one_database]

CLIENT = """
import os, runpod
runpod.api_key = os.environ["KEY"]
endpoint = runpod.Endpoint(os.environ["SLUG"])
job = endpoint.run({"input": {"message": "from the official client"}})
print(job.output(timeout=60))
print(endpoint.run_sync({"input": {"message": "at once"}}, timeout=60))
print(endpoint.health()["jobs"]["completed"] >= 2)
print(endpoint.purge_queue()["status"])
stopped = endpoint.run({"input": {"message": "x", "seconds": 300}})
stopped.cancel()
print(stopped.status())
"""

HANDLERS = """
import asyncio, os, sys, time, runpod
def plain(job):
    return {"got": job["input"]}
def fails(job):
    raise RuntimeError("boom")
def streams(job):
    for n in range(3):
        yield {"n": n}
async def slow(job):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        open(os.environ["MARK"], "w").write("stopped")
        raise
def progresses(job):
    runpod.serverless.progress_update(job, {"pct": 50})
    time.sleep(1)
    return {"done": True}
name = os.environ["HANDLER"]
runpod.serverless.start({
    "handler": globals()[name], "return_aggregate_stream": True,
    "refresh_worker": name == "plain" and "REFRESH" in os.environ,
})
"""


@pytest.fixture(scope="module")
def slug(stack):
    """A local endpoint of its own, which no built-in worker serves."""
    name = f"hand-{uuid.uuid4().hex[:6]}"
    code = (
        "from jobs.models import Endpoint;"
        f"e=Endpoint.objects.create(slug='{name}',title='Hand',kind='local',contract='plain');"
        "print(e.worker_key)"
    )
    key = stack.manage("shell", "-v", "0", "-c", code).splitlines()[-1]
    return name, key


@pytest.fixture
def start_worker(stack, slug, tmp_path):
    """Start an unmodified SDK worker with the four variables of the README."""
    name, key = slug
    script = tmp_path / "handlers.py"
    script.write_text(HANDLERS)
    started = []

    def start(handler, **environment):
        base = f"{stack.url}/v2/{name}"
        process = subprocess.Popen(
            [sys.executable, str(script)],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "HANDLER": handler,
                "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
                "RUNPOD_SKIP_GPU_CHECK": "true",
                "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=LOCAL",
                "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=LOCAL",
                "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=LOCAL",
                "RUNPOD_AI_API_KEY": key,
                **environment,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def run(api, slug, **input):
    answer = api.post(f"/v2/{slug[0]}/run", json={"input": {"a": 1, **input}})
    answer.raise_for_status()
    return answer.json()["id"]


def ended(api, slug, id):
    def look():
        answer = api.get(f"/v2/{slug[0]}/status/{id}").json()
        return answer if answer["status"] not in {"IN_QUEUE", "IN_PROGRESS"} else None

    return wait_until(look)


def test_the_official_client_runs_waits_counts_purges_and_cancels(stack, api, tmp_path):
    key = api.headers["Authorization"].removeprefix("Bearer ")
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CLIENT],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "KEY": key,
            "SLUG": "echo",
            "RUNPOD_ENDPOINT_BASE_URL": f"{stack.url}/v2",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert output.returncode == 0, output.stderr
    lines = output.stdout.strip().splitlines()
    assert "from the official client" in lines[0]
    assert "at once" in lines[1]
    assert lines[2:] == ["True", "completed", "CANCELLED"]


@pytest.mark.smoke
def test_a_plain_handler_answers(api, slug, start_worker):
    start_worker("plain")
    assert ended(api, slug, run(api, slug))["output"] == {"got": {"a": 1}}


def test_a_raising_handler_fails_its_job_and_takes_the_next(api, slug, start_worker):
    start_worker("fails")
    first, second = run(api, slug), run(api, slug)
    assert "boom" in ended(api, slug, first)["error"]
    assert ended(api, slug, second)["status"] == "FAILED"


def test_a_generator_streams_and_aggregates(stack, api, slug, start_worker):
    url = f"{stack.url}/v2/{slug[0]}/job-stream/$RUNPOD_POD_ID/$ID?gpu=LOCAL"
    start_worker("streams", RUNPOD_WEBHOOK_POST_STREAM=url)
    id = run(api, slug)
    assert ended(api, slug, id)["output"] == [{"n": 0}, {"n": 1}, {"n": 2}]
    stream = api.get(f"/v2/{slug[0]}/stream/{id}").json()["stream"]
    assert stream == [{"output": {"n": n}} for n in range(3)]


def test_progress_is_seen_while_the_job_runs(api, slug, start_worker):
    start_worker("progresses")
    id = run(api, slug)
    status = f"/v2/{slug[0]}/status/{id}"
    wait_until(lambda: api.get(status).json().get("output") == {"pct": 50})
    assert ended(api, slug, id)["output"] == {"done": True}


def test_cancelling_stops_the_running_handler(api, slug, start_worker, tmp_path):
    start_worker("slow", MARK=str(tmp_path / "mark"))
    id = run(api, slug)
    status = f"/v2/{slug[0]}/status/{id}"
    wait_until(lambda: api.get(status).json()["status"] == "IN_PROGRESS")
    assert api.post(f"/v2/{slug[0]}/cancel/{id}").json()["status"] == "CANCELLED"
    wait_until(lambda: (tmp_path / "mark").exists())
    assert api.get(status).json()["status"] == "CANCELLED"


def test_a_killed_worker_without_pings_is_noticed_by_its_lost_connection(
    api, slug, start_worker, tmp_path
):
    first = start_worker("slow", MARK=str(tmp_path / "never"))
    id = run(api, slug)
    status = f"/v2/{slug[0]}/status/{id}"
    wait_until(lambda: api.get(status).json()["status"] == "IN_PROGRESS")
    first.kill()
    start_worker("plain")
    answer = ended(api, slug, id)
    assert (answer["status"], answer["retries"]) == ("COMPLETED", 1)


def test_a_worker_that_refreshes_ends_after_its_job(api, slug, start_worker):
    process = start_worker("plain", REFRESH="1")
    assert ended(api, slug, run(api, slug))["status"] == "COMPLETED"
    assert process.wait(timeout=PATIENCE_SECONDS) == 0


def test_a_job_of_ours_on_a_plain_endpoint_keeps_its_output(api, slug, start_worker):
    start_worker("plain")
    created = api.post("/api/v1/jobs", json={"endpoint": slug[0], "input": {"x": 2}})
    id = created.json()["id"]
    job = wait_until(
        lambda: (
            (j := api.get(f"/api/v1/jobs/{id}").json())["status"] == "COMPLETED" and j
        )
    )
    assert job["output"] == {"got": {"x": 2}}
