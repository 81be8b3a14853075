"""Management commands of a running installation, in one process that is kept.

Each `manage.py` process costs a second and a half of a core, most of it for imports.
Run as a module it reads lines of JSON, `["add_endpoint", "slug", …]`, and answers each
with `{"output": "…", "error": null or "…"}`.
"""

import contextlib
import io
import json
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


class Console:
    """The client's side: starts the process, sends one command after another."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.stack.console"],
            cwd=ROOT,
            env={**environment, "DJANGO_SETTINGS_MODULE": "webapp.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """Return what the command printed; raise AssertionError where it failed."""
        assert self._process.stdin
        assert self._process.stdout
        with self._turn:
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        assert answer["error"] is None, answer["error"]
        return str(answer["output"]).strip()

    def close(self) -> None:
        self._process.communicate()


def main() -> None:
    import django  # noqa: PLC0415 - the client's side needs no settings

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415
    from django.db import connections  # noqa: PLC0415

    for line in sys.stdin:
        printed, error = io.StringIO(), None
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                call_command(*json.loads(line))
            except (Exception, SystemExit) as failure:  # noqa: BLE001 - told to the test
                error = f"{type(failure).__name__}: {failure}"
        connections.close_all()
        print(json.dumps({"output": printed.getvalue(), "error": error}), flush=True)


if __name__ == "__main__":
    main()
