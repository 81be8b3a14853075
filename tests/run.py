"""`make test` and `make test-all`: find or start PostgreSQL and Redis, run the suite.

`test-all` has four parts: the tests without processes on SQLite, those of them that are
marked `db` on PostgreSQL, the tests with processes (`stack`) on SQLite and the embedded
broker, and those of them that a database can change on PostgreSQL and Redis. `test` has
the first two parts, and one test of every family of processes on SQLite (`smoke`). What
each part took is printed at the end; docs/testing.md says what runs where, and why.

Services are used where found (TEST_DATABASE_URL, TEST_REDIS_URL, or their standard local
ports), else started privately from pip wheels; TEST_PRIVATE_SERVICES=1 always starts
private ones. Redis databases from the given one on may be erased (by default 9 to 15).
Other arguments are passed on to pytest.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import cpu_count
from pathlib import Path
from xml.etree import ElementTree

from tests.servers import postgres, redis_server

NOTHING = 5  # pytest's exit code where no test was chosen
UNWANTED = {"DATABASE_URL", "REDIS_URL", "DATA_DIR", "PORT", "PUBLIC_URL", "SECRET_KEY"}
# Without bytecode, each of some hundred processes would compile every module anew.
UNWANTED |= {"PYTHONDONTWRITEBYTECODE"}
# Some tests wait, those with processes more than they compute: one or two pytest
# processes more than there are cores.
CORES = (f"--numprocesses={min(cpu_count() + 1, 5)}",)
STACKS = ("--numprocesses=4", "--dist=loadfile", "--no-loadscope-reorder")
FOLDER = "tests/stack"  # of all tests with processes; reading the others takes seconds


@dataclass
class Part:
    """One run of pytest, and what came of it."""

    name: str
    marks: str
    options: tuple[str, ...]
    environment: dict[str, str]
    code: int = 0
    seconds: float = 0.0
    results: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)

    def run(self, arguments: list[str]) -> None:
        print(f"== {self.name}", flush=True)
        began = time.monotonic()
        with tempfile.NamedTemporaryFile(suffix=".xml") as report:
            command = [sys.executable, "-m", "pytest", "-m", self.marks, *self.options]
            command += [f"--junitxml={report.name}", *arguments]
            self.code = subprocess.run(command, env=self.environment).returncode
            self.seconds = time.monotonic() - began
            self._read(Path(report.name).read_bytes())

    def _read(self, report: bytes) -> None:
        if not report:
            return
        for case in ElementTree.fromstring(report).iter("testcase"):
            self.results[case[0].tag if len(case) else "passed"] += 1
            family = _family(case.get("classname", ""))
            self.families[family] += float(case.get("time", "0"))

    def row(self) -> str:
        counts = ", ".join(f"{n} {what}" for what, n in sorted(self.results.items()))
        return f"{self.name:<42} {self.seconds:5.0f} s   {counts or 'no tests'}"


def main() -> int:
    arguments = sys.argv[1:]
    is_whole = "--all" in arguments
    arguments = [one for one in arguments if one != "--all"]
    began = time.monotonic()
    with postgres() as database, redis_server() as broker:
        sqlite = {k: v for k, v in os.environ.items() if k not in UNWANTED}
        both = {**sqlite, "DATABASE_URL": database, "REDIS_URL": broker}
        stacks = STACKS if any(map(_is_path, arguments)) else (*STACKS, FOLDER)
        parts = [
            Part("without processes, SQLite", "not stack", CORES, sqlite),
            Part("without processes, PostgreSQL", "db and not stack", CORES, both),
        ]
        if is_whole:
            marks = "stack and not browser and not one_database"
            parts += [
                Part("with processes, SQLite", "stack", stacks, sqlite),
                Part("with processes, PostgreSQL and Redis", marks, stacks, both),
            ]
        else:
            parts += [Part("with processes, SQLite", "smoke", stacks, sqlite)]
        for part in parts:
            part.run(arguments)
    _print_table(parts, time.monotonic() - began)
    # A part may be empty where arguments choose few tests; all of them may not.
    return max((p.code for p in parts if p.code != NOTHING), default=NOTHING)


def _print_table(parts: list[Part], seconds: float) -> None:
    families = sum((part.families for part in parts), Counter[str]())
    print("== seconds of tests, by family")
    for family, spent in families.most_common():
        print(f"{family:<42} {spent:5.0f} s")
    print("== parts")
    for part in parts:
        print(part.row())
    print(f"{'all':<42} {seconds:5.0f} s", flush=True)


def _is_path(argument: str) -> bool:
    return Path(argument.partition("::")[0]).exists()


def _family(classname: str) -> str:
    """Return the folder of a test, and its module where it starts processes."""
    names = classname.split(".")[1:]
    return "/".join(names[:2]) if names[0] == "stack" else names[0]


if __name__ == "__main__":
    sys.exit(main())
