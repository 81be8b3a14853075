"""A prepared process forks a child for each piece of work, watches it and cleans up."""

import contextlib
import ctypes
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIE_WITH_PARENT, BECOME_SUBREAPER = 1, 36  # of prctl; orphans become ours, not init's
START_SECONDS = 90.0
Tell = Callable[..., None]


@dataclass(frozen=True)
class Job:
    """What a child is to do: run tests up to a failure, with a module that is other."""

    tests: tuple[tuple[str, float], ...]  # id and longest time
    file: str = ""
    code: bytes = b""
    function: str = ""  # to be swapped in memory
    names: frozenset[str] = frozenset()  # whose values are to be replaced in memory
    is_recording: bool = False  # instead: run all, tell what each needs and reaches


class Forks:
    """Children of this process, one at a time, each with an empty folder for its files."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.scratch = Path(tempfile.mkdtemp(prefix="mutation-"))
        _prctl(BECOME_SUBREAPER, 1)

    def serve(self, work: Callable[[Any, Tell], None]) -> None:
        """Do one job after another until told to end by None."""
        try:
            while job := self._connection.recv():
                self._connection.send(self._child(job, work))
        except EOFError:
            pass  # whoever wanted it has gone
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _child(self, job: Any, work: Callable[[Any, Tell], None]) -> list[tuple]:
        """Return what the child told, and as the last thing how it ended."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        here, writer = multiprocessing.Pipe(duplex=False)
        pid = os.fork()
        if not pid:
            here.close()
            self._be_child(work, job, lambda *words: writer.send(words))
        writer.close()
        try:
            return self._heard(here)
        finally:
            here.close()
            _end(pid)

    def _be_child(
        self, work: Callable[[Any, Tell], None], job: Any, tell: Tell
    ) -> None:
        code = 1
        try:
            os.setsid()
            die_with_parent()
            log = os.open(self.scratch / "log", os.O_WRONLY | os.O_CREAT)
            for stream in (1, 2):
                os.dup2(log, stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.environ["TMPDIR"] = tempfile.tempdir = str(self.scratch)
            work(job, tell)
            code = 0
        finally:
            os._exit(code)

    def _heard(self, here: Any) -> list[tuple]:
        """Listen until the end, or until nothing comes for longer than was announced."""
        heard: list[tuple] = []
        patience = START_SECONDS
        while True:
            if not here.poll(patience):
                return [*heard, ("timeout",)]
            try:
                word = here.recv()
            except EOFError:
                return [*heard, ("died", self._log())]
            heard.append(word)
            if word[0] == "begins":
                patience = word[2]
            if word[0] == "done":
                return heard

    def _log(self) -> str:
        try:
            return (self.scratch / "log").read_text(errors="replace")[-2000:]
        except OSError:
            return ""


def die_with_parent() -> None:
    """End this process when the one that forked it ends, however that ends."""
    _prctl(DIE_WITH_PARENT, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _end(pid: int) -> None:
    """End a child and whatever it has started."""
    for number in (pid, *_children()):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(number, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while (left := _children()) and time.monotonic() < deadline:
        for number in left:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(number, signal.SIGKILL)
                os.waitpid(number, 0)


def _children() -> list[int]:
    mine = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(word) for word in mine.read_text().split()]
