"""The fake RunPod as tests use it: its process, and one endpoint in it."""

import subprocess
import sys
from typing import Any

import httpx

from jobs.management.processes import end_with_parent
from tests.stack.stack import ROOT, free_port, wait_until


class RemoteProcess:
    """A fake RunPod in a process of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v2"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fake_runpod", str(self.port)],
            cwd=ROOT,
            preexec_fn=end_with_parent,
        )
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=30
        )
        wait_until(self._is_up, what="the fake RunPod answers")

    def _is_up(self) -> bool:
        try:
            return self.http.get("/_counts").is_success
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self.http.close()
        self._process.terminate()
        self._process.wait()


class RemoteEndpoint:
    """One endpoint of the fake, and what it was asked."""

    def __init__(self, remote: RemoteProcess, name: str) -> None:
        self.remote, self.name = remote, name
        self.url = f"{remote.url}/{name}"

    def script(self, **wanted: Any) -> None:
        """Set how it behaves from now on; see tests/fake_runpod.py."""
        body = {"endpoint": self.name, **wanted}
        self.remote.http.post("/_script", json=body).raise_for_status()

    def faults(self, route: str, *names: str, **wanted: Any) -> None:
        """Have the next requests of a route go wrong, one after another."""
        self.script(faults=[{"route": route, "fault": f} for f in names], **wanted)

    def journal(self, mark: str = "") -> list[dict[str, Any]]:
        """Return the accepted runs, of one mark or all."""
        rows: list[dict[str, Any]] = self.remote.http.get(
            f"/_journal?{self.name}"
        ).json()
        return [row for row in rows if not mark or mark_of(row["input"]) == mark]

    def counts(self) -> dict[str, int]:
        """Return {route: requests so far}."""
        counts: dict[str, int] = self.remote.http.get(f"/_counts?{self.name}").json()
        return counts


def mark_of(input: dict[str, Any]) -> str:
    """Return what tells jobs apart; our own handler takes no field called mark."""
    return str(input.get("mark") or input.get("message") or "")
