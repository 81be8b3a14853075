"""A large batch at a RunPod where attempts fail, while everything of ours is killed.

SLIPWAY_TEST_ITEMS makes it larger; 10,000 take five minutes.
"""

import json
import os
from collections import Counter

import httpx
import pytest

from tests.stack.stack import upload, wait_until

pytestmark = pytest.mark.stack
ITEMS = int(os.environ.get("SLIPWAY_TEST_ITEMS", "600"))
OURS = "batch_id = (SELECT id FROM jobs_batch ORDER BY created_at DESC LIMIT 1)"
KILLED = ("tasks", "web", "beat", "tasks")


def in_time(api, path):
    """Read a batch; a web process that is being restarted is asked again."""

    def look():
        try:
            answer = api.get(path)
        except httpx.TransportError:
            return None
        return answer.json() if answer.is_success else None

    return wait_until(look, what="the batch is read")


@pytest.mark.timeout(1200)
def test_every_item_ends_once_and_completion_comes_once(fault_stack, fault_api, cloud):
    endpoint = cloud(max_workers=50)
    doomed = [{"n": n} for n in range(0, ITEMS, 100)]
    endpoint.script(workers=50, failing=0.05, doomed=doomed)
    lines = "".join(f"{json.dumps({'n': n})}\n" for n in range(ITEMS)).encode()
    made = fault_api.post(
        "/api/v1/batches",
        json={
            "endpoint": endpoint.name,
            "file": upload(fault_api, lines, "items.ndjson"),
            "batch_size": 1,
            "max_attempts": 2,
            "on_job_complete": True,
        },
    )
    assert made.status_code == 201, made.text
    path = f"/api/v1/batches/{made.json()['id']}"

    def done():
        counts = in_time(fault_api, path)["counts"]
        return counts["completed"] + counts["failed"]

    for number, part in enumerate(KILLED, start=1):
        after = ITEMS * number / (len(KILLED) + 1)
        wait_until(lambda after=after: done() >= after, 600, f"{after} items ended")
        fault_stack.kill(part)
        fault_stack.erase_messages()
    wait_until(lambda: in_time(fault_api, path)["ended_at"], 600, "the batch ended")

    indices = counts_are_true(fault_stack, fault_api, path)
    assert len(indices) >= len(doomed)
    attempts_are_runs(fault_stack, endpoint)
    completion_came_last(endpoint, in_time(fault_api, path))
    failures_succeed_when_run_again(fault_api, path, endpoint, indices)


def counts_are_true(fault_stack, fault_api, path):
    """Return the indices of the items that failed."""
    batch = in_time(fault_api, path)
    rows = fault_stack.query(
        f"SELECT batch_index, status FROM jobs_job WHERE {OURS} "
        "AND batch_index IS NOT NULL"
    )
    assert sorted(index for index, _ in rows) == list(range(ITEMS))
    counted = Counter(status for _, status in rows)
    assert counted["COMPLETED"] + counted["FAILED"] == ITEMS
    assert batch["counts"]["completed"] == counted["COMPLETED"]
    assert batch["counts"]["failed"] == counted["FAILED"]
    assert batch["enqueued"]
    assert batch["total"] == ITEMS
    return sorted(index for index, status in rows if status == "FAILED")


def attempts_are_runs(fault_stack, endpoint):
    """Each item ran as often as it has attempts, and one failed one has two."""
    runs = Counter(
        row["input"]["payload"][0]["n"]
        for row in endpoint.journal()
        if row["input"]["payload"]
    )
    attempts = fault_stack.query(
        "SELECT j.batch_index, COUNT(*), j.has_maybe_run_twice FROM jobs_attempt a "
        f"JOIN jobs_job j ON a.job_id = j.id WHERE j.{OURS} "
        "AND j.batch_index IS NOT NULL "
        "GROUP BY j.batch_index, j.has_maybe_run_twice"
    )
    assert len(attempts) == ITEMS
    wrong = [row for row in attempts if runs[row[0]] > row[1] and not row[2]]
    assert not wrong
    assert sum(runs.values()) > ITEMS  # some attempts did fail


def completion_came_last(endpoint, batch):
    """on_job_complete came exactly once, after the last item."""
    last = [row for row in endpoint.journal() if not row["input"]["payload"]]
    assert [row["input"]["_batch"]["on_job_complete"] for row in last] == [True]
    assert last[0]["input"]["_batch"]["job_spec"]["total_batch_count"] == ITEMS
    others = [row for row in endpoint.journal() if row["input"]["payload"]]
    assert last[0]["started"] >= max(row["ended"] for row in others)
    assert batch["completion_job"]


def failures_succeed_when_run_again(fault_api, path, endpoint, indices):
    failed = fault_api.get(f"{path}/failures.ndjson").text.splitlines()
    assert [json.loads(line)["index"] for line in failed] == indices
    # An item whose last attempt was being sent when `tasks` was killed says that.
    errors = [json.loads(line)["error"] for line in failed]
    lost = [error for error in errors if "CUDA error" not in error["message"]]
    assert {error["code"] for error in lost} <= {"unconfirmed"}, lost
    endpoint.script(workers=50)
    answer = fault_api.post(f"{path}/retry_failed").json()
    assert answer == {"retried": len(indices)}
    wait_until(lambda: in_time(fault_api, path)["ended_at"], what="it ended again")
    batch = in_time(fault_api, path)
    assert batch["counts"]["completed"] == ITEMS
    assert batch["status"] == "COMPLETED"
    assert len([row for row in endpoint.journal() if not row["input"]["payload"]]) == 1
