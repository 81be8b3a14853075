"""What the benchmarks stand on: a fake RunPod, a running Slipway, process accounts."""

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.stack.stack import ROOT, RunningStack, free_port, wait_until

TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def fake_runpod() -> Iterator[httpx.Client]:
    """Yield a client of a fake RunPod in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fake_runpod", str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    base = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
        wait_until(lambda: _answers(client))
        try:
            yield client
        finally:
            process.terminate()
            process.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/_counts").is_success
    except httpx.TransportError:
        return False


@contextmanager
def slipway(fake: httpx.Client, **environment: str) -> Iterator[RunningStack]:
    """Yield a running Slipway with the endpoint `cloud` at the fake, without a window."""
    with tempfile.TemporaryDirectory() as folder, database() as places:
        stack = RunningStack(Path(folder) / "data", **places, **environment)
        stack.start("--no-sample")
        stack.freeze("gpu")  # its long polls are no part of what is measured
        try:
            stack.manage("create_api_key", "bench", "--create-user")
            stack.manage(
                *("add_endpoint", "cloud", "--runpod-id", "ep1", "--contract", "plain"),
                *("--api-base", f"{fake.base_url}/v2"),
            )
            yield stack
        finally:
            stack.stop()


def signed_in(stack: RunningStack) -> httpx.Client:
    """Return a browser's session of the operator."""
    http = httpx.Client(base_url=stack.url, trust_env=False, timeout=60)
    form = http.get("/account/sign-in/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token
    answer = http.post(
        "/account/sign-in/",
        data={
            "csrfmiddlewaretoken": token[1],
            "username": "admin",
            "password": stack.password(),
        },
        headers={"Referer": stack.url, "Origin": stack.url},
    )
    assert answer.status_code == 302, answer.text
    return http


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """Yield the environment of a fresh PostgreSQL database and Redis, where given."""
    server = os.environ.get("BENCH_DATABASE_URL", "")
    if not server:
        yield {}
        return
    name = f"slipway_bench_{random.randrange(10**9)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    redis = os.environ.get("BENCH_REDIS_URL", "")
    try:
        yield {
            "DATABASE_URL": f"{server.rpartition('/')[0]}/{name}",
            **({"REDIS_URL": redis} if redis else {}),
        }
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run_times(count: int, seed: int = 7) -> list[float]:
    """Return lognormal run times: median 20 s, sigma 0.5, at most 40 s."""
    dice = random.Random(seed)
    return [min(40.0, dice.lognormvariate(2.9957, 0.5)) for _ in range(count)]


def jobs_in(stack: RunningStack, status: str) -> int:
    """Return how many jobs are in a status, by the database itself."""
    query = f"SELECT count(*) FROM jobs_job WHERE status = '{status}'"
    return int(stack.query(query)[0][0])


class Account:
    """CPU seconds and peak memory of some processes from now on."""

    def __init__(self, pids: list[int]) -> None:
        self._began = {pid: _cpu(pid) for pid in pids}

    def cpu(self) -> float:
        """Return the CPU seconds used since."""
        return sum(_cpu(pid) - began for pid, began in self._began.items())

    def peak_mb(self) -> float:
        """Return the largest peak of the processes, in MB."""
        return max(_peak(pid) for pid in self._began)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _peak(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def quantile(values: list[float], share: float) -> float:
    """Return a quantile; NaN of nothing."""
    ordered = sorted(values)
    return (
        ordered[min(len(ordered) - 1, int(len(ordered) * share))]
        if ordered
        else float("nan")
    )


def until_quiet(look: Any, seconds: float, patience: float) -> None:
    """Wait until `look` is true, or has not changed for `patience` seconds."""
    until, last, since = time.monotonic() + seconds, None, time.monotonic()
    while time.monotonic() < until:
        is_done, state = look()
        if is_done:
            return
        if state != last:
            last, since = state, time.monotonic()
        if time.monotonic() - since > patience:
            return
        time.sleep(1)
