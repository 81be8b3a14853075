"""The prepared process: all tests collected, the database made, the modules imported.

Its children change functions in memory and run the tests that reach the change.
"""

import builtins
import gc
import marshal
import os
import shutil
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import placing
from tests.mutation.forks import Forks, Job, Tell
from tests.mutation.hook import sitecustomize as hook

PYTEST = (
    *("-m", "not stack", "--ignore=tests/mutation"),
    *("-p", "no:randomly", "-p", "no:cacheprovider", "-s", "-q"),
)


def serve(connection: Any, telling: dict[str, Any], arguments: list[str]) -> None:
    """Be a prepared process. `telling`: by file, the code that tells its lines."""
    hook.replace(telling)
    builtins.__reached__ = lambda place: None
    placing.hand_on()
    pytest.main([*PYTEST, *arguments], plugins=[Session(connection, telling)])


class Session:
    """A pytest plugin that runs tests in forks, as it is asked to."""

    def __init__(self, connection: Any, telling: dict[str, Any]) -> None:
        self._connection, self._telling = connection, telling
        self._failed = False
        self._data: Path | None = None  # where the database lies
        self._tell: Tell | None = None  # of a child that ends at the first failure

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> None:
        """Notice a failure before anybody spends time on describing it."""
        if call.excinfo and not isinstance(call.excinfo.value, pytest.skip.Exception):
            self._failed = True
            if self._tell:
                self._tell("done", "failed", item.nodeid)
                os._exit(0)

    def pytest_runtestloop(self, session: Any) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self._order = session.items
        forks = Forks(self._connection)
        self._scratch = forks.scratch
        template = self._prepare()
        self._functions = placing.live_functions(self._telling)
        gc.freeze()  # a collection in a child would copy every page of ours
        self._connection.send((list(self._items), template))
        forks.serve(self._work)
        if self._data:
            shutil.rmtree(self._data, ignore_errors=True)
            shutil.rmtree(self._kept, ignore_errors=True)
        os._exit(0)

    def _prepare(self) -> Path | None:
        """Make the database by running one test, keep a copy; return the copy's path."""
        marked = [one for one in self._order if one.get_closest_marker("django_db")]
        if not marked:
            return None
        from django.conf import settings  # noqa: PLC0415 - not before pytest has begun
        from django.db import connections  # noqa: PLC0415

        self._data = Path(settings.DATA_DIR)
        self._kept = Path(f"{settings.DATA_DIR}-kept")
        # One that empties no tables, if there is one.
        marked.sort(key=lambda one: bool(one.get_closest_marker("django_db").kwargs))
        self._run(marked[0], self._far_from(marked[0]))
        connections.close_all()
        database = Path(settings.DATABASES["default"]["TEST"]["NAME"])
        return self._kept / database.relative_to(self._data)

    def pytest_runtest_call(self) -> None:
        if self._data and not self._kept.exists():
            shutil.copytree(self._data, self._kept)

    def _work(self, job: Job, tell: Tell) -> None:
        if self._data:
            shutil.rmtree(self._data)
            shutil.copytree(self._kept, self._data)
        folders = self._order[0].config._tmp_path_factory
        folders._given_basetemp, folders._basetemp = self._scratch / "pytest", None
        self._failed = False
        if job.is_recording:
            self._record(job, tell)
        else:
            self._try(job, tell)

    def _try(self, job: Job, tell: Tell) -> None:
        """Run tests up to the first failure."""
        code = marshal.loads(job.code)
        self._telling[job.file] = code
        placing.give(self._scratch, {job.file: code})
        try:
            if job.function:
                placing.swap(self._functions[job.file], code, job.function)
            elif job.names:
                placing.patch(job.file, code, job.names)
        except placing.Impossible:
            tell("done", "impossible", "")
            return
        self._tell = tell
        for _ in self._run_each(job.tests, tell):
            pass
        tell("done", "passed", "")

    def _record(self, job: Job, tell: Tell) -> None:
        """Run all; tell what each needs and reaches, here and in its processes."""
        reached: set[int] = set()
        builtins.__reached__ = reached.add
        file = self._scratch / "reached"
        placing.give(self._scratch, self._telling, file)
        begun = time.monotonic()
        for test in self._run_each(job.tests, tell):
            places = reached.copy()
            if file.exists():
                places |= {int(line) for line in file.read_text().split()}
                file.write_text("")
            tell("ran", test, time.monotonic() - begun, self._failed, sorted(places))
            reached.clear()
            self._failed, begun = False, time.monotonic()
        tell("done", "passed", "")

    def _run_each(
        self, tests: tuple[tuple[str, float], ...], tell: Tell
    ) -> Iterator[str]:
        """Run tests, yielding after each, with all tear-down but the session's."""
        for (test, seconds), (following, _) in pairwise([*tests, ("", 0.0)]):
            tell("begins", test, seconds)
            item = self._items[test]
            self._run(item, self._items.get(following) or self._far_from(item))
            yield test

    @staticmethod
    def _run(item: Any, following: Any) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def _far_from(self, item: Any) -> Any:
        """Return a test that shares no folder's or module's fixtures with this one."""
        own = set(item.listchain())
        return min(
            self._order, key=lambda other: len(own.intersection(other.listchain()))
        )
