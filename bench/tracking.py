"""How soon, and how dearly, we learn that a job on RunPod has ended.

Jobs run 20 s (lognormal median, sigma 0.5, at most 40 s) on the fake RunPod with
RunPod's request limits. All are submitted before the first may start. Beside ours: the
SDK's asyncio polling, and one Celery task per poll that does the same database work.

    python -m bench tracking            100, 1,000 and 5,000 at once
    python -m bench tracking 100        only these
    python -m bench tracking fifo       5,000 jobs waiting for 50 workers (37 minutes)
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from bench.stage import (
    Account,
    fake_runpod,
    jobs_in,
    quantile,
    run_times,
    slipway,
    until_quiet,
)
from tests.stack.stack import ROOT, RunningStack

CREATE = """
from django.contrib.auth import get_user_model
from jobs.models import Endpoint
from jobs.services.lifecycle import jobs
Endpoint.objects.filter(slug="cloud").update(release_window=None, is_active=True)
endpoint = Endpoint.objects.get(slug="cloud")
owner = get_user_model().objects.get(username="bench")
for seconds in TIMES:
    jobs.create(owner=owner, endpoint=endpoint, input={"seconds": seconds})
"""
LEARNED = """
import json
from jobs.models import Attempt, JobEvent
ends = dict(JobEvent.objects.filter(new_status="FINALIZING").values_list("job_id", "created_at"))
rows = Attempt.objects.values_list("runpod_id", "job_id")
print(json.dumps({id: ends[job].timestamp() for id, job in rows if job in ends}))
"""
PATIENCE = 90


@dataclass
class Row:
    """One line of the table."""

    name: str
    count: int
    learned: int
    lags: list[float]
    requests: int
    refused: int
    cpu: float
    peak_mb: float

    def text(self) -> str:
        per_thousand = self.cpu / max(1, self.learned) * 1000
        return (
            f"{self.name:34}{self.learned:>6}/{self.count:<6}"
            f"{quantile(self.lags, 0.5):>8.2f}{quantile(self.lags, 0.95):>8.2f}"
            f"{max(self.lags, default=float('nan')):>8.2f}"
            f"{self.requests / self.count:>9.2f}{self.refused:>7}"
            f"{per_thousand:>9.1f}{self.peak_mb:>8.0f}"
        )


HEAD = (
    f"{'':34}{'learned':>13}{'p50 s':>8}{'p95 s':>8}{'max s':>8}"
    f"{'req/job':>9}{'429s':>7}{'CPU/1k':>9}{'MB':>8}"
)


def main(*arguments: str) -> None:
    """Print one table for each number of jobs."""
    for argument in arguments or ("100", "1000", "5000"):
        is_fifo = argument == "fifo"
        count, workers = (5000, 50) if is_fifo else (int(argument), int(argument))
        print(f"\n{count} jobs on {workers} workers, RunPod's limits on\n{HEAD}")
        for row in _rows(count, workers, is_fifo=is_fifo):
            print(row.text(), flush=True)


def _rows(count: int, workers: int, *, is_fifo: bool) -> Iterator[Row]:
    yield measured(
        "Slipway, webhooks, 10 % dropped", count, workers, webhooks=1, drop=0.1
    )
    yield measured("Slipway, no webhooks", count, workers, webhooks=0)
    if not is_fifo:
        yield celery("One Celery task per poll, 5 s", count, workers)
        yield sdk("SDK's asyncio polling, 1 s", count, workers)


@contextmanager
def _stage(count: int, **script: Any) -> Iterator[tuple[httpx.Client, RunningStack]]:
    with fake_runpod() as fake, slipway(fake) as stack:
        # A short history, as every endpoint in use has one: do webhooks arrive?
        fake.post("/_script", json={"workers": 10, **script, "drop": 0})
        stack.manage("shell", "-v", "0", "-c", f"TIMES = [2] * 10{CREATE}")
        until_quiet(lambda: _ended(stack, 10), 60, 60)
        fake.post("/_script", json={"workers": 0, "limits": True, **script})
        yield fake, stack


def _ended(stack: RunningStack, count: int) -> tuple[bool, int]:
    completed = jobs_in(stack, "COMPLETED")
    return completed >= count, completed


def measured(name: str, count: int, workers: int, **script: Any) -> Row:
    """Measure the loop: tasks, beat, and the web process that hears the doorbell."""
    with _stage(count, **script) as (fake, stack):
        _submit(stack, count)
        time.sleep(3)
        before = dict(fake.get("/_counts").json())
        parts = ("tasks", "beat", "web")
        account = Account([pid for part in parts for pid in stack.pids(part)])
        fake.post("/_script", json={"workers": workers, "limits": True, **script})
        limit = 60 + 60 * count / workers
        until_quiet(lambda: _progress(fake), limit, PATIENCE)
        until_quiet(lambda: _ended(stack, count + 10), 60, 60)
        cpu, peak = account.cpu(), account.peak_mb()
        learned = json.loads(stack.manage("shell", "-v", "0", "-c", LEARNED))
        return _row(name, count, fake, learned, before, cpu, peak)


def _submit(stack: RunningStack, count: int) -> None:
    times = run_times(count)
    code = f"import json, pathlib; TIMES = json.loads(pathlib.Path({_file(stack, times)!r}).read_text()){CREATE}"
    process = stack._popen("shell", "-v", "0", "-c", code, output=None)
    assert process.wait() == 0
    until_quiet(lambda: (jobs_in(stack, "IN_QUEUE") >= count, time.time()), 300, 300)


def _file(stack: RunningStack, times: list[float]) -> str:
    path = stack.folder / "times.json"
    path.write_text(json.dumps(times))
    return str(path)


def _progress(fake: httpx.Client) -> tuple[bool, int]:
    ended = sum(bool(row["ended"]) for row in fake.get("/_journal").json())
    return ended >= len(fake.get("/_journal").json()), ended


def _row(
    name: str,
    count: int,
    fake: httpx.Client,
    learned: dict[str, float],
    before: dict[str, int],
    cpu: float,
    peak: float,
) -> Row:
    after = fake.get("/_counts").json()
    ended = {row["id"]: row["ended"] for row in fake.get("/_journal").json()[-count:]}
    lags = [learned[id] - at for id, at in ended.items() if id in learned]
    return Row(
        name,
        count,
        len(lags),
        lags,
        after.get("status", 0) - before.get("status", 0),
        after.get("429", 0) - before.get("429", 0),
        cpu,
        peak,
    )


def celery(name: str, count: int, workers: int) -> Row:
    """Measure a Celery task for each poll, with our own rows and moves."""
    with _stage(count, webhooks=0) as (fake, stack):
        _submit(stack, count)
        for part in ("beat", "tasks"):  # the loop must not help
            stack.freeze(part)
        command = [
            *(sys.executable, "-m", "celery", "-A", "bench.celery_polling", "-q"),
            *("worker", "-l", "ERROR", "--concurrency", "2"),
        ]
        worker = subprocess.Popen(command, cwd=ROOT, env=stack.environment)
        try:
            time.sleep(4)
            pids = _family(worker.pid)
            account = Account(pids)
            begin = [sys.executable, "-m", "bench.celery_polling"]
            subprocess.run(begin, cwd=ROOT, env=stack.environment, check=True)
            before = dict(fake.get("/_counts").json())
            fake.post(
                "/_script", json={"workers": workers, "limits": True, "webhooks": 0}
            )
            until_quiet(lambda: _progress(fake), 120, PATIENCE)
            until_quiet(lambda: _ended(stack, count + 10), 60, 60)
            cpu, peak = account.cpu(), sum(Account([pid]).peak_mb() for pid in pids)
        finally:
            worker.terminate()
            worker.wait()
        learned = json.loads(stack.manage("shell", "-v", "0", "-c", LEARNED))
        return _row(name, count, fake, learned, before, cpu, peak)


def _family(pid: int) -> list[int]:
    command = ["ps", "-o", "pid=", "--ppid", str(pid)]
    printed = subprocess.run(command, capture_output=True, text=True).stdout
    return [pid, *map(int, printed.split())]


def sdk(name: str, count: int, workers: int) -> Row:
    """Measure runpod.AsyncioEndpoint, as its documentation shows it; no database."""
    with fake_runpod() as fake:
        fake.post("/_script", json={"workers": 0})
        command = [
            sys.executable,
            "-m",
            "bench.sdk_polling",
            str(fake.base_url),
            str(count),
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "submitted\n"
        fake.post("/_script", json={"workers": workers, "limits": True, "webhooks": 0})
        printed = process.stdout.read()
        process.wait()
        measured = json.loads(printed)
        return _row(
            name, count, fake, measured["learned"], {}, measured["cpu"], measured["mb"]
        )
