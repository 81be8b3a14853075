"""Files going up: how fast, how dearly, and what a page feels meanwhile.

One 1 GiB file, eight of 256 MiB at once, and forty slow clients (4 MiB at 500 KiB/s).
Beside ours: a bare socket-to-file sink (what the machine can do), Django's own multipart,
Gradio, and the Node tus server. The client sends files with sendfile(2), so that it costs
as little as a client can.

    python -m bench uploads            all of it
    python -m bench uploads one        only one of: one, eight, slow
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from bench.stage import Account, quantile
from bench.upload_client import Patches, multipart, put
from tests.stack.stack import ROOT, RunningStack, free_port, wait_until

MIB = 1024 * 1024
ROUNDS = 3
NODE = ROOT / "bench" / "node"


@dataclass
class Target:
    """A server under test: how to send one file to it, and which processes it is."""

    name: str
    send: Callable[[Path, float], None]
    pids: list[int]
    ping: str = ""


@dataclass
class Measured:
    """What the rounds of one target brought."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    grown: list[float] = field(default_factory=list)
    pings: list[float] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)


SCENES: dict[str, tuple[int, int, float]] = {
    # files at once, bytes of each, bytes a second of each (0: as fast as it goes)
    "one": (1, 1024 * MIB, 0),
    "eight": (8, 256 * MIB, 0),
    "slow": (40, 4 * MIB, 500 * 1024),
}


def main(*names: str) -> None:
    """Print a table for each scene."""
    for name in names or SCENES:
        count, size, rate = SCENES[name]
        with tempfile.TemporaryDirectory(dir=_room()) as folder:
            source = Path(folder) / "source.bin"
            with source.open("wb") as file:
                for _ in range(size // MIB):
                    file.write(random.randbytes(MIB))
            results: dict[str, Measured] = {}
            for _ in range(ROUNDS):
                for make in TARGETS:
                    with make(Path(folder)) as target:
                        measured = results.setdefault(target.name, Measured())
                        _measure(target, source, count, size, rate, measured)
        _print(name, count, size, results)


def _room() -> str | None:
    """Return where files go: memory if there is enough, so that no disk decides."""
    memory = Path("/dev/shm")
    is_large = memory.is_dir() and shutil.disk_usage(memory).free > 8 * 1024 * MIB
    return str(memory) if is_large else None


def _measure(
    target: Target, source: Path, count: int, size: int, rate: float, into: Measured
) -> None:
    _warm(source.parent, count * size)
    account, idle = Account(target.pids), _resident(target.pids)
    _forget_peaks(target.pids)
    with _pings(target.ping) as pings:
        began = time.monotonic()
        senders = [
            threading.Thread(target=target.send, args=(source, rate))
            for _ in range(count)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        seconds = time.monotonic() - began
    into.rates.append(count * size / MIB / seconds)
    into.cpu.append(account.cpu() / (count * size / MIB / 1024))
    into.grown.append((_peaks(target.pids) - idle) / count)
    into.pings += pings
    into.worst.append(max(pings, default=float("nan")))


def _warm(folder: Path, size: int) -> None:
    """Have the machine touch as much memory as will be written, and free it again.

    A virtual machine gets memory from its host when it is first touched, which is three
    times as slow as writing to it, and would decide which target looks fast.
    """
    path = folder / "warm"
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(bytes(MIB))
    path.unlink()


def _print(name: str, count: int, size: int, results: dict[str, Measured]) -> None:
    sink = quantile(results["socket to file"].rates, 0.5)
    print(
        f"\n{count} x {size // MIB} MiB ({name}), medians of {ROUNDS} rounds, interleaved"
    )
    print(
        f"{'':28}{'MB/s':>8}{'x sink':>8}{'CPU s/GiB':>11}{'MB/upload':>11}"
        f"{'page p50':>10}{'worst ms':>10}"
    )
    for target, one in results.items():
        rate = quantile(one.rates, 0.5)
        print(
            f"{target:28}{rate * MIB / 1e6:8.0f}{rate / sink:8.2f}"
            f"{quantile(one.cpu, 0.5):11.2f}{quantile(one.grown, 0.5):11.1f}"
            f"{quantile(one.pings, 0.5):10.1f}{quantile(one.worst, 0.5):10.0f}",
            flush=True,
        )


@contextmanager
def _pings(url: str) -> Iterator[list[float]]:
    """Ask for a cheap page every 50 ms; yield the milliseconds it took."""
    times: list[float] = []
    is_over = threading.Event()

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while url and not is_over.is_set():
                began = time.monotonic()
                client.get(url)
                times.append((time.monotonic() - began) * 1000)
                is_over.wait(0.05)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield times
    finally:
        is_over.set()
        asking.join()


# --- targets ------------------------------------------------------------------------------
@contextmanager
def _process(command: list[Any], **options: Any) -> Iterator[int]:
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=options.pop("cwd", ROOT),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **options,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def raw_sink(folder: Path) -> Iterator[Target]:
    """What the machine can do."""
    port = free_port()
    with _folder(folder) as own:
        command = [sys.executable, "-m", "bench.upload_rivals", "sink", port, own]
        with _process(command) as pid:
            time.sleep(0.5)
            yield Target("socket to file", partial(put, port, "/"), [pid])


@contextmanager
def django(folder: Path) -> Iterator[Target]:
    """Django's own multipart under gunicorn's threads."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "bench.upload_rivals:django_multipart()"),
        *("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"),
        *("--workers", "2", "--threads", "8", "--timeout", "300"),
    ]
    with _folder(folder) as own:
        environment = {**os.environ, "BENCH_FOLDER": str(own)}
        with _process(command, env=environment) as pid:
            ping = f"http://127.0.0.1:{port}/ping"
            wait_until(partial(_answers, ping))
            yield Target(
                "Django multipart",
                partial(multipart, port, "/upload"),
                _tree(pid),
                ping,
            )


@contextmanager
def gradio(folder: Path) -> Iterator[Target]:
    """Gradio's upload route."""
    port = free_port()
    python = ROOT / ".venv-bench" / "bin" / "python"
    with _folder(folder) as own:
        command = [python, ROOT / "bench" / "upload_rivals.py", "gradio", port, own]
        with _process(command) as pid:
            ping = f"http://127.0.0.1:{port}/gradio_api/app_id"
            wait_until(partial(_answers, ping), 120)
            send = partial(multipart, port, "/gradio_api/upload")
            yield Target("Gradio", send, _tree(pid), ping)


@contextmanager
def node(folder: Path) -> Iterator[Target]:
    """The reference tus server."""
    port = free_port()
    with (
        _folder(folder) as own,
        _process(["node", NODE / "tus-server.mjs", port, own]) as pid,
    ):
        ping = f"http://127.0.0.1:{port}/ping"
        wait_until(partial(_answers, ping))
        patches = Patches(port, "/files", {}, 64 * MIB)
        yield Target("Node tus, 64 MiB chunks", patches.send, [pid], ping)


@contextmanager
def slipway_tus(chunk: int, folder: Path) -> Iterator[Target]:
    """Slipway: web process only; hashing afterwards is the task process's."""
    with _folder(folder) as own, ExitStack() as exits:
        stack = RunningStack(own / "data", JOBS_DISK_RESERVE_BYTES="0")
        stack.start("--no-sample")
        exits.callback(stack.stop)
        for part in ("gpu", "tasks", "beat"):
            stack.freeze(part)
        client = exits.enter_context(stack.client())
        key = {"Authorization": client.headers["Authorization"]}
        patches = Patches(stack.port, "/uploads/tus/", key, chunk)
        ping = f"{stack.url}/healthz"
        name = f"Slipway, {chunk // MIB} MiB chunks"
        yield Target(name, patches.send, stack.pids("web"), ping)


TARGETS = [
    raw_sink,
    django,
    gradio,
    node,
    partial(slipway_tus, 8 * MIB),
    partial(slipway_tus, 64 * MIB),
]


@contextmanager
def _folder(root: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=root) as own:
        yield Path(own)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code < 500
    except httpx.TransportError:
        return False


def _tree(pid: int) -> list[int]:
    printed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    ).stdout
    return [pid, *map(int, printed.split())]


def _resident(pids: list[int]) -> float:
    return sum(_memory(pid, "VmRSS") for pid in pids)


def _peaks(pids: list[int]) -> float:
    return sum(_memory(pid, "VmHWM") for pid in pids)


def _forget_peaks(pids: list[int]) -> None:
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # sets VmHWM back


def _memory(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0
