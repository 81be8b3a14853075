"""A running Slipway for tests: `manage.py up` as anybody would start it."""

import os
import random
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

from jobs.management.processes import end_with_parent
from tests.stack.console import Console

ROOT = Path(__file__).parent.parent.parent
ENDS = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}


# Waiting only guards against waiting for ever: machines may be slow.
PATIENCE_SECONDS = 180.0


def wait_until(
    look: Callable[[], Any], seconds: float = PATIENCE_SECONDS, what: str = ""
) -> Any:
    """Return the first true answer of `look`, asked ever less often."""
    until, pause = time.monotonic() + seconds, 0.02
    while time.monotonic() < until:
        answer = look()
        if answer:
            return answer
        time.sleep(pause)
        pause = min(0.2, pause * 1.3)
    raise AssertionError(f"not within {seconds} s: {what or look}")


def free_port() -> int:
    """Return a port below those that the kernel gives to outgoing connections.

    One of those could be taken again before the server that is to have it listens.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


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
        self._console: Console | None = None

    def start(self, *arguments: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._http = httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS)
        with self.printed.open("ab") as output:
            self.process = self.popen("up", *arguments, output=output)
        wait_until(self.is_ready, what="the stack is ready")

    def stop(self) -> int:
        """Ctrl-C; return the exit code."""
        if self._console:
            self._console.close()
            self._console = None
        if self.process is None:
            return 0
        self._http.close()
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=PATIENCE_SECONDS)
        self.process = None
        return code

    def kill_up(self) -> None:
        """kill -9 `up` itself; its children end with it."""
        assert self.process is not None
        self._http.close()
        self.process.kill()
        self.process.wait()
        self.process = None

    def manage(self, *arguments: str) -> str:
        """Run a management command; return what it printed."""
        self._console = self._console or Console(self.environment)
        return self._console.run(*arguments)

    def client(self, user: str = "tester") -> httpx.Client:
        """Return an API client of a user with a fresh key."""
        key = self.manage("create_api_key", user, "--create-user").splitlines()[-1]
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=PATIENCE_SECONDS,
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
        pids = []
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
                pids.append(int(entry.name))
        return sorted(pids)

    def kill(self, part: str) -> None:
        """kill -9 every process of a part."""
        for pid in self.pids(part):
            os.kill(pid, signal.SIGKILL)

    @property
    def is_on_postgres(self) -> bool:
        return "DATABASE_URL" in self.environment

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement in the stack's database; return the rows of a SELECT."""
        if self.is_on_postgres:
            url = self.environment["DATABASE_URL"]
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
            address = url.replace("redis+socket://", "unix://")
            server = redis.Redis.from_url(address.replace("?virtual_host=", "?db="))
            server.flushdb()
            number = str(server.connection_pool.connection_kwargs.get("db", 0))
            for client in server.client_list(_type="normal"):  # F17, too
                if client["db"] == number:
                    server.client_kill_filter(_id=client["id"], skipme=True)
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
            preexec_fn=end_with_parent,
        )

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.printed.read_text()
        try:
            return self._http.get(f"{self.url}/readyz").is_success
        except httpx.TransportError:
            return False

    def popen(self, *arguments: str, output: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,  # a killed pytest leaves nothing running
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


def until(client: httpx.Client, id: str, *statuses: str) -> Any:
    """Wait until a job is in one of `statuses` (default: any end)."""
    wanted = set(statuses) or ENDS

    def look() -> Any:
        job = read(client, id)
        return job if job["status"] in wanted else None

    return wait_until(look, what=f"{id} is {wanted}")
