"""Where stacks of tests keep their rows and messages: each in a place of its own.

Databases are copies of one that is migrated once: for all pytest processes of a run on
SQLite, for each of them on PostgreSQL. Redis has numbered databases; each pytest process
takes the next one.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.stack.stack import ROOT, RunningStack


class Installations:
    """Makes running stacks on SQLite, or on PostgreSQL and Redis where they are given."""

    def __init__(self, folder: Path, common: Path, worker_id: str) -> None:
        self._folder, self._common = folder, common
        self._server = os.environ.get("DATABASE_URL", "")
        self._broker = os.environ.get("REDIS_URL", "")
        self._number = int(worker_id.removeprefix("gw")) if worker_id != "master" else 0
        self._template = ""
        self._databases: list[str] = []

    @contextmanager
    def running(self, name: str, **environment: str) -> Iterator[RunningStack]:
        """Yield a stack that has just been started; it must end by itself with 0."""
        folder = self._folder / f"{name}-{uuid.uuid4().hex[:6]}"
        stack = RunningStack(folder, **self.services(folder), **environment)
        stack.start("--no-sample")
        yield stack
        assert stack.stop() == 0

    def services(self, folder: Path) -> dict[str, str]:
        """Give an installation an empty, migrated database; return its environment."""
        self._template = self._template or self._template_name()
        folder.mkdir(parents=True)
        if not self._server:
            shutil.copy(self._template, folder / "db.sqlite3")
            return {}
        name = self._create(f"TEMPLATE {self._template}")
        return {"DATABASE_URL": self._url(name), "REDIS_URL": self._own_broker()}

    def drop(self) -> None:
        """Forget every database."""
        for name in self._databases:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _template_name(self) -> str:
        """Return a migrated database: its file, or its name at the server."""
        if self._server:
            name = self._create()
            self._migrate(DATABASE_URL=self._url(name))
            return name
        template = self._common / "template.sqlite3"
        with (self._common / "template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.exists():
                self._migrate().rename(template)
        return str(template)

    def _migrate(self, **place: str) -> Path:
        """Migrate the database at `place`, or else a file; return that file."""
        folder = self._folder / "template"
        folder.mkdir()
        real = {k: v for k, v in os.environ.items() if not k.startswith("DJANGO_")}
        subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "migrate", "-v", "0"],
            env={**real, "DATA_DIR": str(folder), **place},
            check=True,
        )
        return folder / "db.sqlite3"

    def _create(self, options: str = "") -> str:
        name = f"slipway_{uuid.uuid4().hex[:12]}"
        self._execute(f"CREATE DATABASE {name} {options}")
        self._databases.append(name)
        return name

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _url(self, name: str) -> str:
        head, mark, query = self._server.partition("?")
        return f"{head.rpartition('/')[0]}/{name}{mark}{query}"

    def _own_broker(self) -> str:
        if self._broker.startswith("redis+socket://"):
            return f"{self._broker.partition('?')[0]}?virtual_host={self._number}"
        head, _, first = self._broker.rpartition("/")
        return f"{head}/{int(first) + self._number}"
