"""10,000 jobs of one second, created in one go, on 50 workers, while people look on.

The ideal is jobs x run time / workers. Meanwhile the list of jobs is read as a page and
over the API, twice a second each.

    python -m bench drain [jobs]
"""

import sys
import threading
import time

import httpx

from bench.stage import (
    Account,
    fake_runpod,
    jobs_in,
    quantile,
    signed_in,
    slipway,
    until_quiet,
)
from tests.stack.stack import RunningStack

WORKERS, SECONDS = 50, 1.0
CREATE = f"""
from django.contrib.auth import get_user_model
from jobs.models import Endpoint
from jobs.services.lifecycle import jobs
Endpoint.objects.filter(slug="cloud").update(release_window=0, max_workers={WORKERS})
endpoint = Endpoint.objects.get(slug="cloud")
owner = get_user_model().objects.get(username="bench")
for _ in range(COUNT):
    jobs.create(owner=owner, endpoint=endpoint, input={{"seconds": {SECONDS}}})
"""


def main(*arguments: str) -> None:
    """Print how long the drain took, and what people felt."""
    count = int(arguments[0]) if arguments else 10_000
    with fake_runpod() as fake, slipway(fake) as stack:
        fake.post("/_script", json={"workers": WORKERS, "limits": True})
        parts = ("tasks", "beat", "web")
        account = Account([pid for part in parts for pid in stack.pids(part)])
        key = stack.manage("create_api_key", "bench").splitlines()[-1]
        people = [
            Visitor(stack, "/jobs/"),
            Visitor(stack, "/api/v1/jobs?limit=50", key),
        ]
        code = CREATE.replace("COUNT", str(count))
        creating = stack.popen_module(
            "django", "shell", "-v", "0", "-c", code, "--settings", "webapp.settings"
        )
        until_quiet(lambda: _ended(stack, count), 1200, 60)
        creating.wait()
        rows = fake.get("/_journal").json()
        began, ended = min(r["started"] for r in rows), max(r["ended"] for r in rows)
        ideal = count * SECONDS / WORKERS
        print(f"\n{count} jobs of {SECONDS:.0f} s on {WORKERS} workers")
        print(f"drained in {ended - began:.0f} s, ideal {ideal:.0f} s: ", end="")
        print(f"{(ended - began) / ideal:.2f} x ideal")
        print(f"completed {jobs_in(stack, 'COMPLETED')}, accepted runs {len(rows)}")
        print(f"CPU s per 1,000 jobs {account.cpu() / count * 1000:.1f}", end=", ")
        print(f"peak {account.peak_mb():.0f} MB")
        for visitor in people:
            print(visitor.stop())


def _ended(stack: RunningStack, count: int) -> tuple[bool, int]:
    completed = jobs_in(stack, "COMPLETED")
    return completed >= count, completed


class Visitor:
    """Reads one address twice a second."""

    def __init__(self, stack: RunningStack, path: str, key: str = "") -> None:
        self._path = path
        self._times: list[float] = []
        self._is_over = threading.Event()
        if key:
            self._http = httpx.Client(base_url=stack.url, trust_env=False, timeout=30)
            self._http.headers["Authorization"] = f"Bearer {key}"
        else:
            self._http = signed_in(stack)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._is_over.wait(0.5):
            began = time.monotonic()
            assert self._http.get(self._path).status_code == 200
            self._times.append(time.monotonic() - began)

    def stop(self) -> str:
        """Return what this visitor felt."""
        self._is_over.set()
        self._thread.join()
        middle, high = quantile(self._times, 0.5), quantile(self._times, 0.95)
        return (
            f"{self._path:24} p50 {middle * 1000:.0f} ms  p95 {high * 1000:.0f} ms  "
            f"max {max(self._times) * 1000:.0f} ms  ({len(self._times)} times)"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
