"""A thousand open event streams: how soon a change arrives, and what listening costs.

One web process; the changes are made in its database by hand, one after another. The
baseline is the same stack with one listener.
"""

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

import httpx

from bench.stage import Account, database, quantile
from tests.stack.stack import RunningStack, create

CHANGES = 40
PAUSE = 0.25
JOBS = 10


def main() -> None:
    """Print the table."""
    print(f"\nListeners to events, {CHANGES} changes of one job, one web process")
    print(
        f"{'listeners':>10}{'p50 s':>8}{'p95 s':>8}{'max s':>8}"
        f"{'memory MB':>11}{'queries/s':>11}{'CPU s/min':>11}"
    )
    for count in (1, 1000):
        with tempfile.TemporaryDirectory() as folder, database() as places:
            stack = RunningStack(Path(folder) / "data", **places)
            stack.start("--no-sample")
            for part in ("gpu", "tasks", "beat"):
                stack.freeze(part)
            try:
                print(asyncio.run(_measure(stack, count)))
            finally:
                stack.stop()


async def _measure(stack: RunningStack, count: int) -> str:
    """Return a line of the table."""
    with stack.client() as client:
        pks = [create(client, "echo", message="x") for _ in range(JOBS)]
        key = client.headers["Authorization"]
    pids = stack.pids("web")
    before = max(_rss(pid) for pid in pids)
    heard: list[float] = []
    async with httpx.AsyncClient(
        headers={"Authorization": key},
        timeout=60,
        trust_env=False,
        limits=httpx.Limits(max_connections=count),
    ) as client:
        tasks = await _listeners(client, stack, pks, count, heard)
        account, queries, began = Account(pids), _queries(stack), time.monotonic()
        await _change(stack, pks[: min(count, JOBS)])
        seconds = time.monotonic() - began
        asked = (_queries(stack) - queries) / seconds
        cpu = account.cpu() / seconds * 60
        grown = max(_rss(pid) for pid in pids) - before
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return (
        f"{count:10}{quantile(heard, 0.5):8.2f}{quantile(heard, 0.95):8.2f}"
        f"{max(heard):8.2f}{grown:11.1f}{asked:11.1f}{cpu:11.1f}"
    )


async def _listeners(
    client: httpx.AsyncClient,
    stack: RunningStack,
    pks: list[str],
    count: int,
    heard: list[float],
) -> list[asyncio.Task[None]]:
    """Open the streams, and wait until each has heard of its job."""
    ready = asyncio.Semaphore(0)
    urls = [f"{stack.url}/api/v1/jobs/{pk}/events" for pk in pks]
    tasks = [
        asyncio.create_task(_listen(client, urls[n % JOBS], heard, ready))
        for n in range(count)
    ]
    for _ in tasks:
        await ready.acquire()
    await asyncio.sleep(1)
    return tasks


async def _change(stack: RunningStack, pks: list[str]) -> None:
    """Change jobs one after another; each change carries its time."""
    is_sqlite = not stack.environment.get("DATABASE_URL")
    for number in range(CHANGES):
        pk = pks[number % len(pks)]
        pk = pk.replace("-", "") if is_sqlite else pk
        progress = {"fraction": 0.5, "message": repr(time.time()), "seq": 1}
        stack.query(
            f"UPDATE jobs_job SET progress = '{json.dumps(progress)}', "
            f"revision = revision + 1 WHERE id = '{pk}'"
        )
        await asyncio.sleep(PAUSE)
    await asyncio.sleep(1)


async def _listen(
    client: httpx.AsyncClient, url: str, heard: list[float], ready: asyncio.Semaphore
) -> None:
    async with client.stream("GET", url) as response:
        assert response.status_code == 200, response.status_code
        kind = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: ") and kind == "job":
                ready.release()
            elif line.startswith("data: ") and kind == "progress":
                heard.append(time.time() - float(json.loads(line[6:])["message"]))


def _queries(stack: RunningStack) -> float:
    """Return how many transactions the database has done; -1 where it does not count."""
    if not stack.environment.get("DATABASE_URL"):
        return float("nan")
    rows = stack.query(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    )
    return float(rows[0][0])


def _rss(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
