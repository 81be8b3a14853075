"""A running Slipway for tests: `manage.py up` as anybody would start it."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis

ROOT = Path(__file__).parent.parent.parent
ENDS = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}


def wait_until(look: Callable[[], Any], seconds: float = 60, what: str = "") -> Any:
    """Return the first true answer of `look`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what or look}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RunningStack:
    """Starts, stops, and kills parts of an installation in one DATA_DIR."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("DJANGO_")},
            "DATA_DIR": str(folder),
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "default",
            "RUNPOD_API_KEY": "for the scripted RunPod",
            **environment,
        }
        self.environment.pop("SECRET_KEY", None)
        self.printed = folder / "up.out"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.printed.open("ab") as output:
            self.process = self._popen("up", *arguments, output=output)
        wait_until(self._is_ready, 60, "the stack is ready")

    def stop(self) -> int:
        """Ctrl-C; return the exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=30)
        self.process = None
        return code

    def manage(self, *arguments: str) -> str:
        process = self._popen(*arguments, output=subprocess.PIPE)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output.decode()
        return output.decode().strip()

    def client(self) -> httpx.Client:
        """Return an API client of a user with a fresh key."""
        key = self.manage("create_api_key", "tester", "--create-user").splitlines()[-1]
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
            trust_env=False,
        )

    def pids(self, part: str) -> list[int]:
        """Return the processes of a part: web, tasks, beat or gpu (leader first)."""
        marks = {
            "web": "gunicorn",
            "tasks": "celery.*worker",
            "beat": "celery.*-q beat",
            "gpu": "handler.py",
        }
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                mine = f"DATA_DIR={self.folder}".encode() in (
                    entry / "environ"
                ).read_bytes().split(b"\0")
            except OSError:
                continue
            if mine and re.search(marks[part], command):
                found.append(int(entry.name))
        return sorted(found)

    def kill(self, part: str) -> None:
        """kill -9 every process of a part."""
        for pid in self.pids(part):
            os.kill(pid, signal.SIGKILL)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement in the stack's database; return the rows of a SELECT."""
        url = self.environment.get("DATABASE_URL", "")
        if url:
            with psycopg.connect(url, autocommit=True) as connection:
                cursor = connection.execute(sql)
                return cursor.fetchall() if cursor.description else []
        with closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=20)) as opened:
            rows = opened.execute(sql).fetchall()
            opened.commit()
            return rows

    def erase_messages(self) -> None:
        """Lose every message that is on its way between our processes."""
        url = self.environment.get("REDIS_URL", "")
        if url:
            # A private Redis listens on a socket, which Celery calls by another name.
            server = redis.Redis.from_url(url.replace("redis+socket://", "unix://"))
            server.flushdb()
            server.client_kill_filter(_type="normal", skipme=True)  # F17, too
        else:
            messages = self.folder / "broker" / "messages"
            shutil.rmtree(messages, ignore_errors=True)
            messages.mkdir(exist_ok=True)

    def freeze(self, part: str) -> None:
        """SIGSTOP every process of a part: it is there and does nothing."""
        for pid in self.pids(part):
            os.kill(pid, signal.SIGSTOP)

    def log(self, part: str) -> str:
        return (self.folder / "logs" / f"{part}.log").read_text()

    def password(self) -> str:
        return re.search(r"password (\S+)", self.printed.read_text())[1]

    def popen_module(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start another process of this installation."""
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.printed.read_text()
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _popen(self, *arguments: str, output: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def upload(client: httpx.Client, content: bytes, name: str = "clip.mp4") -> str:
    """Send a file over tus; return the value for a job's input."""
    opened = client.post(
        "/api/v1/uploads", json={"filename": name, "size": len(content)}
    )
    opened.raise_for_status()
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
    }
    client.patch(
        opened.json()["url"], content=content, headers=headers
    ).raise_for_status()
    return f"upload:{opened.json()['id']}"


def create(client: httpx.Client, endpoint: str, **input: Any) -> str:
    created = client.post("/api/v1/jobs", json={"endpoint": endpoint, "input": input})
    assert created.status_code == 201, created.text
    return str(created.json()["id"])


def read(client: httpx.Client, id: str) -> dict[str, Any]:
    """Read a job; a server that is just being restarted is asked again."""
    while True:
        try:
            answer = client.get(f"/api/v1/jobs/{id}")
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code < 500:
            return dict(answer.json())
        time.sleep(0.1)


def until(client: httpx.Client, id: str, *statuses: str, seconds: float = 90) -> Any:
    """Wait until a job is in one of `statuses` (default: any end)."""
    wanted = set(statuses) or ENDS

    def look() -> Any:
        job = read(client, id)
        return job if job["status"] in wanted else None

    return wait_until(look, seconds, f"{id} is {wanted}")
