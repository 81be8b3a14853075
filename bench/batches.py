"""A file of 100,000 items becomes a batch; then its page, with a job for each of them.

Baseline of the reading: the same lines parsed and checked against the same schema, in
one process without a database. Needs BENCH_DATABASE_URL (PostgreSQL) for the page.

    python -m bench batches [items]
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from bench.drain import Visitor
from bench.stage import fake_runpod, slipway
from tests.stack.stack import RunningStack, upload, wait_until

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["url"],
    "properties": {"url": {"type": "string"}, "n": {"type": "integer", "minimum": 0}},
}
LOOKS = 30
# As if all of them had run: one job for each item that is none yet.
JOBS = """
INSERT INTO jobs_job (id, status, reason, priority, input, metadata, webhook_url,
  webhook_events, error_code, error_message, error_signature, is_error_retryable,
  attempt_no, turn, takes, progress, progress_seq, revision, is_replaced,
  has_maybe_run_twice, not_found_count, moved_at, created_at, started_at, finished_at,
  is_kept, owner_id, endpoint_id, batch_id, batch_index)
SELECT gen_random_uuid(), CASE WHEN n % 20 = 0 THEN 'FAILED' ELSE 'COMPLETED' END, '', 1,
  '{"url": "x"}', '{}', '', '[]', CASE WHEN n % 20 = 0 THEN 'worker_error' ELSE '' END,
  CASE WHEN n % 20 = 0 THEN 'CUDA error ' || n ELSE '' END,
  CASE WHEN n % 20 = 0 THEN 'CUDA error <n>' ELSE '' END, false,
  1, 0, 0, '{}', 0, 0, false, false, 0, now(), now(), now(),
  now(), false, b.owner_id, b.endpoint_id, b.id, n
FROM jobs_batch b, generate_series(b.next_index, b.total - 1) n
"""


def main(*arguments: str) -> None:
    """Print how fast and in how much memory items are read, and how the page feels."""
    count = int(arguments[0]) if arguments else 100_000
    lines = [
        json.dumps({"url": f"https://media.example/clips/{n:08d}.mp4", "n": n})
        for n in range(count)
    ]
    content = "".join(f"{line}\n" for line in lines).encode()
    baseline = _baseline(lines)
    with fake_runpod() as fake, slipway(fake) as stack:
        fake.post("/_script", json={"workers": 1})
        schema = json.dumps(SCHEMA)
        stack.query(
            f"UPDATE jobs_endpoint SET input_schema = '{schema}' WHERE slug = 'cloud'"
        )
        with stack.client() as api:
            _enqueue(stack, api, content, count, baseline)
            _look(stack, api, count)


def _baseline(lines: list[str]) -> float:
    validator = Draft202012Validator(SCHEMA)
    began = time.monotonic()
    for line in lines:
        validator.validate(json.loads(line))
    return time.monotonic() - began


def _enqueue(
    stack: RunningStack, api: httpx.Client, content: bytes, count: int, baseline: float
) -> None:
    file = upload(api, content, "items.ndjson")
    pids = stack.pids("tasks")
    before, peak = _memory(pids), 0.0
    began = time.monotonic()
    made = api.post("/api/v1/batches", json={"endpoint": "cloud", "file": file})
    made.raise_for_status()
    path = f"/api/v1/batches/{made.json()['id']}"
    first = None

    def look() -> Any:
        nonlocal peak, first
        peak = max(peak, _memory(pids))
        batch = api.get(path).json()
        if first is None and batch["counts"]["active"] + batch["counts"]["completed"]:
            first = (time.monotonic() - began, batch["total"])
        return batch["enqueued"]

    wait_until(look, 1200)
    seconds = time.monotonic() - began
    megabytes = len(content) / 1e6
    print(f"\n{count:,} items, {megabytes:.1f} MB")
    print(f"read in {seconds:.1f} s, {count / seconds:,.0f} items/s", end=": ")
    print(f"{seconds / baseline:.1f} x parsing and checking alone ({baseline:.1f} s)")
    if first:
        print(f"first item on its way after {first[0]:.1f} s, {first[1]:,} items read")
    print(f"memory of the reader {before:.0f} -> {peak:.0f} MB (+{peak - before:.0f})")


def _look(stack: RunningStack, api: httpx.Client, count: int) -> None:
    if "DATABASE_URL" not in stack.environment:
        print("the page is measured on PostgreSQL only (BENCH_DATABASE_URL)")
        return
    stack.query("UPDATE jobs_endpoint SET is_active = false WHERE slug = 'cloud'")
    time.sleep(2)
    stack.query(JOBS)
    stack.query("UPDATE jobs_batch SET next_index = total")
    stack.query("ANALYZE jobs_job")
    id = stack.query("SELECT id FROM jobs_batch")[0][0]
    print(f"with {count:,} jobs:")
    visitors = [
        Visitor(stack, f"/batches/{id}/"),
        Visitor(stack, f"/batches/{id}/items/?page=900"),
        Visitor(stack, f"/api/v1/batches/{id}", api.headers["Authorization"][7:]),
    ]
    time.sleep(LOOKS / 2)
    for visitor in visitors:
        print(visitor.stop())


def _memory(pids: list[int]) -> float:
    """Return the resident memory of processes, in MB."""
    kilobytes = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
