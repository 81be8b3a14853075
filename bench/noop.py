"""A job that does nothing, through the whole stack, beside a Gradio queue call.

Ours: create over HTTP → database → Celery → RunPod protocol → real SDK worker → result
verified → COMPLETED seen over HTTP. Gradio's: one call of a no-op function through its
queue with its own client; in one process, kept in memory only.
"""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.stack.stack import ROOT, RunningStack, create

CALLS = 20
ROUNDS = 3
GRADIO = ROOT / ".venv-bench" / "bin" / "python"


def main() -> None:
    """Print the table."""
    slipway: list[float] = []
    gradio: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        stack = RunningStack(Path(folder) / "data")
        stack.start("--no-sample")
        try:
            for _ in range(ROUNDS):
                slipway += _slipway(stack)
                gradio += _gradio()
        finally:
            stack.stop()
    print(f"\nNo-op, {ROUNDS} x {CALLS} calls one after another, interleaved (seconds)")
    print(f"{'':24}{'median':>8}{'p95':>8}{'max':>8}")
    for name, times in (
        ("Slipway, whole stack", slipway),
        ("Gradio, queue call", gradio),
    ):
        p95 = statistics.quantiles(times, n=20)[-1]
        row = f"{statistics.median(times):8.2f}{p95:8.2f}{max(times):8.2f}"
        print(f"{name:24}{row}")
    ratio = statistics.median(slipway) / statistics.median(gradio)
    print(f"Slipway / Gradio: {ratio:.1f}   (the SDK worker takes one job a second)")


def _slipway(stack: RunningStack) -> list[float]:
    times = []
    with stack.client() as client:
        for _ in range(CALLS):
            began = time.monotonic()
            id = create(client, "echo", message="x")
            while client.get(f"/api/v1/jobs/{id}").json()["status"] != "COMPLETED":
                time.sleep(0.02)
            times.append(time.monotonic() - began)
    return times


def _gradio() -> list[float]:
    script = str(ROOT / "bench" / "gradio_noop.py")
    done = subprocess.run(
        [str(GRADIO), script, str(CALLS)], check=True, capture_output=True, text=True
    )
    times: list[float] = json.loads(done.stdout.splitlines()[-1])
    return times
