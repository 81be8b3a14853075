"""The JSON API: create and read a job, 50 connections, two processes, PostgreSQL.

Beside it, in the same rounds: a bare FastAPI + asyncpg doing the same rows, and Gradio's
own API, which keeps everything in memory.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from bench.http_load import Load, run
from bench.stage import Account, database, quantile
from tests.run import postgres
from tests.stack.stack import ROOT, free_port, wait_until

PYTHON = ROOT / ".venv-bench" / "bin" / "python"
ROUNDS = 3
SECONDS = 5.0
PROCESSES = 2
KEY = "slipway_bench"
COUNT_QUERIES = """
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext as Capture
headers = {"Authorization": "Bearer %s"}
def count(send):
    with Capture(connection) as queries:
        answer = send()
    assert answer.status_code < 300, answer.content
    return answer, sum("SAVEPOINT" not in q["sql"] for q in queries.captured_queries)
client = Client(headers=headers, SERVER_NAME="127.0.0.1")
body = '{"endpoint": "echo", "input": {"message": "x"}}'
post = lambda: client.post("/api/v1/jobs", body, content_type="application/json")
for _ in range(5): answer, created = count(post)
answer, read = count(lambda: client.get("/api/v1/jobs/" + answer.json()["id"]))
print("QUERIES", created, read)
"""


@dataclass
class Target:
    """One server and its requests: method, address, body."""

    name: str
    pids: list[int]
    requests: dict[str, tuple[str, str, bytes]]
    headers: dict[str, str]


def main() -> None:
    """Print the table."""
    with ExitStack() as running:
        if "BENCH_DATABASE_URL" not in os.environ:
            os.environ["BENCH_DATABASE_URL"] = running.enter_context(postgres())
        targets = [
            running.enter_context(start()) for start in (_slipway, _fastapi, _gradio)
        ]
        results: dict[tuple[str, str], list[tuple[Load, float]]] = {}
        for _ in range(ROUNDS):
            for target in targets:
                for kind, request in target.requests.items():
                    results.setdefault((kind, target.name), []).append(
                        _measure(target, request)
                    )
        _print(results)


def _measure(target: Target, request: tuple[str, str, bytes]) -> tuple[Load, float]:
    method, url, body = request
    account = Account(target.pids)
    load = run(url, method=method, headers=target.headers, body=body, seconds=SECONDS)
    return load, account.cpu()


def _print(results: dict[tuple[str, str], list[tuple[Load, float]]]) -> None:
    print(
        f"\n50 connections, {PROCESSES} processes, {ROUNDS} x {SECONDS:g} s, interleaved"
    )
    print(f"{'':8}{'':22}{'req/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}{'bad':>5}")
    rates: dict[tuple[str, str], float] = {}
    for (kind, name), rounds in results.items():
        rate = sorted(load.per_second for load, _ in rounds)[len(rounds) // 2]
        times = [one for load, _ in rounds for one in load.times]
        cpu = sum(used for _, used in rounds) / max(1, len(times)) * 1000
        rates[kind, name] = rate
        print(
            f"{kind:8}{name:22}{rate:8.0f}{quantile(times, 0.5) * 1000:8.1f}"
            f"{quantile(times, 0.99) * 1000:8.1f}{cpu:8.2f}"
            f"{sum(load.bad for load, _ in rounds):5}"
        )
    for kind in ("create", "read"):
        own_rate = rates[kind, "Slipway"]
        ratios = [
            f"{own_rate / rates[at]:.2f} x {at[1]}"
            for at in rates
            if at[0] == kind and at[1] != "Slipway"
        ]
        print(f"Slipway {kind}: {', '.join(ratios)}")


@contextmanager
def _slipway() -> Iterator[Target]:
    """Serve our API alone: what it does not need is not running."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder, database() as places:
        environment = {
            **{k: v for k, v in os.environ.items() if k != "SECRET_KEY"},
            "DATA_DIR": folder,
            "PORT": str(port),
            "JOBS_API_WRITES_PER_MINUTE": "0",
            "JOBS_API_READS_PER_MINUTE": "0",
            "LOG_LEVEL": "WARNING",
            **places,
        }

        def manage(*arguments: str) -> str:
            command = [sys.executable, "manage.py", *arguments]
            done = subprocess.run(
                command, cwd=ROOT, env=environment, check=True, capture_output=True
            )
            return done.stdout.decode().strip()

        manage("migrate")
        key = manage("create_api_key", "bench", "--create-user").splitlines()[-1]
        manage("add_endpoint", "echo", "--runpod-id", "none", "--contract", "plain")
        command = [sys.executable, "-m", "gunicorn", "webapp.asgi:application"]
        command += ["--worker-class", "uvicorn_worker.UvicornWorker"]
        command += ["--bind", f"127.0.0.1:{port}", "--workers", str(PROCESSES)]
        command += ["--log-level", "warning", "--no-control-socket"]
        with _server(command, f"{base}/healthz", environment) as pids:
            headers = {"Authorization": f"Bearer {key}"}
            body = json.dumps({"endpoint": "echo", "input": {"message": "x"}}).encode()
            url = f"{base}/api/v1/jobs"
            pk = _created(url, headers, body)
            requests = {
                "create": ("POST", url, body),
                "read": ("GET", f"{url}/{pk}", b""),
            }
            yield Target("Slipway", pids, requests, headers)
        counted = manage("shell", "-v", "0", "-c", COUNT_QUERIES % key)
        print(f"Slipway's queries per request (create, read): {counted.split()[-2:]}")


@contextmanager
def _fastapi() -> Iterator[Target]:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with database() as places:
        dsn = places["DATABASE_URL"]
        sys.path.insert(0, str(ROOT))
        from bench.api_rivals import TABLES  # noqa: PLC0415

        digest = hashlib.sha256(f"Bearer {KEY}".encode()).hexdigest()
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(TABLES)
            connection.execute("INSERT INTO keys (digest) VALUES (%s)", [digest])
        command = [
            str(PYTHON),
            "-m",
            "uvicorn",
            "--factory",
            "bench.api_rivals:fastapi",
        ]
        command += ["--port", str(port), "--workers", str(PROCESSES)]
        command += ["--log-level", "warning", "--no-access-log"]
        with _server(
            command, f"{base}/openapi.json", {**os.environ, "BENCH_DSN": dsn}
        ) as pids:
            headers = {"Authorization": f"Bearer {KEY}"}
            body = json.dumps({"endpoint": "echo", "input": {"message": "x"}}).encode()
            url = f"{base}/jobs"
            pk = _created(url, headers, body)
            requests = {
                "create": ("POST", url, body),
                "read": ("GET", f"{url}/{pk}", b""),
            }
            yield Target("FastAPI + asyncpg", pids, requests, headers)


@contextmanager
def _gradio() -> Iterator[Target]:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [str(PYTHON), "bench/api_rivals.py", "gradio", str(port)]
    with _server(command, f"{base}/config", dict(os.environ)) as pids:
        body = json.dumps({"data": ["x"]}).encode()
        # Its queue (`call`) stops for good when nobody reads the results: KeyError in
        # send_message. So both lines are its one call that answers by itself.
        run_it = ("POST", f"{base}/gradio_api/run/echo", body)
        yield Target("Gradio (run)", pids, {"create": run_it, "read": run_it}, {})


def _created(url: str, headers: dict[str, str], body: bytes) -> str:
    made = httpx.post(
        url,
        headers={**headers, "Content-Type": "application/json"},
        content=body,
        trust_env=False,
    )
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


@contextmanager
def _server(
    command: list[str], ready: str, environment: dict[str, str]
) -> Iterator[list[int]]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _answers(ready), 60, ready)
        time.sleep(2)  # the other processes of the server
        yield [process.pid, *_children(process.pid)]
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]
