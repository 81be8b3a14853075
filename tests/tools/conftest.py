"""A throw-away Git repository, and our tools run in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        who = {"NAME": "Ann", "EMAIL": "ann@example.com"}
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
            **{f"GIT_AUTHOR_{name}": value for name, value in who.items()},
            **{f"GIT_COMMITTER_{name}": value for name, value in who.items()},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "PYTHONPATH": str(ROOT),
        }
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        return self._run("git", *arguments, is_checked=True).stdout.strip()

    def tool(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(sys.executable, "-m", f"tools.{name}", *arguments)

    def write(self, path: str, content: bytes | str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def add(self, path: str, content: bytes | str) -> None:
        self.write(path, content)
        self.git("add", "--force", path)

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()

    def _run(self, *command: str, is_checked=False) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            check=is_checked,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)
