"""Edits that act at import: each in a process that has imported nothing of ours yet.

The process they are forked from has libraries in memory, so a start takes little.
"""

import contextlib
import gc
import importlib
import marshal
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

from tests.mutation import placing
from tests.mutation.forks import Forks, Job, Tell
from tests.mutation.hook import sitecustomize as hook
from tests.mutation.live import PYTEST

LIBRARIES = [
    "aiohttp",
    "asgiref.sync",
    "axes.apps",
    "boto3",
    "botocore.session",
    "celery",
    "celery.app.base",
    "django.contrib.admin.options",
    "django.contrib.auth.hashers",
    "django.core.handlers.asgi",
    "django.db.migrations.executor",
    "django.forms",
    "django.template.engine",
    "django.test",
    "django.test.client",
    "django.test.utils",
    "graphql",
    "httpx",
    "hypothesis.core",
    "jsonschema",
    "kombu",
    "limits",
    "PIL.Image",
    "pydantic",
    "re2",
    "redis.asyncio",
    "rich",
    "s3transfer.manager",
    "uvicorn.server",
]
DATABASE_SECONDS = 60.0


def serve(connection: Any, template: Path | None, _: list[str]) -> None:
    """Be the process that has nothing but libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LIBRARIES:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    gc.freeze()
    forks = Forks(connection)

    def work(job: Job, tell: Tell) -> None:
        _try(job, tell, template, forks.scratch)

    forks.serve(work)
    os._exit(0)


def _try(job: Job, tell: Tell, template: Path | None, scratch: Path) -> None:
    import pytest  # noqa: PLC0415

    codes = {job.file: marshal.loads(job.code)}
    hook.replace(codes)
    placing.give(scratch, codes)
    placing.hand_on()
    files = sorted({test.partition("::")[0] for test, _ in job.tests})
    command = [*PYTEST, "-x", "--reuse-db", f"--basetemp={scratch}/pytest"]
    command += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    result = pytest.main([*command, *files], plugins=[_Chosen(job, tell, template)])
    tell("done", "passed" if result in (0, 5) else "failed", f"exit {result}")


class _Chosen:
    """A pytest plugin: only the tests wanted, in their order, on a copied database."""

    def __init__(self, job: Job, tell: Tell, template: Path | None) -> None:
        self._tests, self._tell, self._template = dict(job.tests), tell, template

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        order = list(self._tests)
        # A table that tests are made from may have given them other names.
        new = [item for item in items if item.nodeid not in self._tests]
        known = {item.originalname for item in items if item.nodeid in self._tests}
        by_id = {item.nodeid: item for item in items}
        new = [
            item for item in new if item.originalname in known and "[" in item.nodeid
        ]
        kept = [by_id[name] for name in order if name in by_id]
        items[:] = kept if len(kept) == len(order) else kept + new

    def pytest_collection_finish(self) -> None:
        if self._template:
            from django.conf import settings  # noqa: PLC0415

            shutil.copy(self._template, settings.DATABASES["default"]["TEST"]["NAME"])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._tell("begins", nodeid, self._tests.get(nodeid, 60.0) + DATABASE_SECONDS)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self._tell("done", "failed", report.nodeid)
            os._exit(0)
