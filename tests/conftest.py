"""Shared fixtures."""

import shutil

import pytest
from django.conf import settings
from django.db import connection

from tests.fakes import FakeRunPod
from tests.remote import RemoteProcess


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Before the test database is dropped, end what threads of servers still hold."""
    yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture
def runpod() -> FakeRunPod:
    return FakeRunPod()


def pytest_sessionfinish() -> None:
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def remote():
    """A fake RunPod in a process of its own."""
    process = RemoteProcess()
    yield process
    process.stop()
