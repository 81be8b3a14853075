"""Child processes of `manage.py up`: started, watched, restarted, and all ended.

Each child leads a process group of its own, so its children end with it. If we are
killed, the kernel ends the children (Linux prctl(2), PR_SET_PDEATHSIG).
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 6.0
QUICK_DEATH_SECONDS = 5.0
MAX_PAUSE_SECONDS = 15.0
_LIBC = ctypes.CDLL(None)


def end_with_parent() -> None:
    """Have the kernel end this process when its parent dies; for `preexec_fn`."""
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One process: how to start it, and how it is doing."""

    name: str
    command: list[str]
    log: Path
    environment: Callable[[], dict[str, str]] = dict
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = 0.0
    restart_at: float = 0.0

    def start(self) -> None:
        """Start it, adding its output to its log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self.started_at, self.restart_at = time.monotonic(), 0.0

    def signal_group(self, number: int) -> None:
        """Send a signal to the process and all its children."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return

    def is_running(self) -> bool:
        """Whether the process itself lives."""
        return self.process is not None and self.process.poll() is None


@dataclass
class Stack:
    """All children together."""

    children: list[Child]
    say: Callable[[str], None]
    _is_ending: bool = field(default=False, init=False)

    def start(self) -> None:
        """Start every child."""
        for child in self.children:
            child.start()

    def watch(self) -> None:
        """Restart what dies, ever more patiently, until `end` is asked for."""
        while not self._is_ending:
            for child in self.children:
                self._look_at(child)
            time.sleep(0.2)

    def ask_to_end(self, *_: object) -> None:
        """Make `watch` return; fit for a signal handler."""
        self._is_ending = True

    def end(self) -> None:
        """End every child: politely, then by force. No process is left."""
        for child in self.children:
            child.signal_group(signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < until and any(c.is_running() for c in self.children):
            time.sleep(0.05)
        for child in self.children:
            child.signal_group(signal.SIGKILL)
            if child.process:
                child.process.wait()

    def _look_at(self, child: Child) -> None:
        if child.is_running():
            return
        now = time.monotonic()
        if not child.restart_at:
            code = child.process.returncode if child.process else None
            child.signal_group(signal.SIGKILL)  # its own children, if any
            was_quick = now - child.started_at < QUICK_DEATH_SECONDS
            child.pause = (
                min(MAX_PAUSE_SECONDS, child.pause * 2 + 1) if was_quick else 0.0
            )
            child.restart_at = now + child.pause
            self.say(f"{child.name} ended ({code}); starting it again. See {child.log}")
        if now >= child.restart_at:
            child.start()
