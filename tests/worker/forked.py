"""Runs the handler's command line in a fork of a process that has its libraries already.

They take most of a second of a core to import, and a short job does little else. All the
rest is as with `python handler.py …`: our own modules, environment, folder, output and
exit code. test_lifetime.py starts the handler from nothing.
"""

import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

from tests.stack.stack import ROOT

FOLDER = ROOT / "worker_handler"
_forks = get_context("forkserver")
_LIBRARIES = ["runpod", "httpx", "pydantic", "av", "numpy", "onnxruntime", "PIL.Image"]
_forks.set_forkserver_preload([__name__, *_LIBRARIES])


def run(
    *arguments: str, environment: dict[str, str], timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run `handler.py`; return its exit code, and what it printed as `stdout`."""
    # The process that is forked, if it is to be started, must find what it imports.
    paths = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{FOLDER}"
    with tempfile.NamedTemporaryFile("r", errors="replace") as output:
        process = _forks.Process(
            target=_main, args=(arguments, environment, output.name)
        )
        try:
            process.start()
        finally:
            os.environ.pop("PYTHONPATH")
            if paths is not None:
                os.environ["PYTHONPATH"] = paths
        process.join(timeout)
        process.kill()
        process.join()
        return subprocess.CompletedProcess(
            arguments, process.exitcode, stdout=output.read()
        )


def _main(arguments: tuple[str, ...], environment: dict[str, str], output: str) -> None:
    with Path(output).open("wb") as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(FOLDER)
    sys.argv = ["handler.py", *arguments]
    sys.path[:0] = [str(FOLDER)]
    runpy.run_path("handler.py", run_name="__main__")
