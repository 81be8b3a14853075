"""Shared fixtures."""

import functools
import shutil
import uuid

import pytest
from botocore.loaders import JSONFileLoader
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.test import TransactionTestCase

from jobs.lib import rates
from jobs.storage import bucket
from tests.fake_account import KEY as ACCOUNT_KEY
from tests.fake_account import FakeAccount
from tests.fake_registries import FakeRegistries
from tests.fakes import FakeRunPod
from tests.receivers import Receiver
from tests.remote import RemoteProcess
from tests.s3 import KEY, SECRET, S3Process


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


# Written by migrations and remembered by Django: tests leave them as they are.
LASTING = {"django_migrations", "django_content_type", "auth_permission"}


def _delete_rows(_: TransactionTestCase) -> None:
    """Empty all tables after a test with transactions.

    Django truncates them and makes all permissions anew, which takes PostgreSQL a second;
    deleting a few rows takes milliseconds. Foreign keys are checked at the commit.
    """
    tables = connection.introspection.django_table_names(only_existing=True)
    with transaction.atomic(), connection.cursor() as cursor:
        for table in set(tables) - LASTING:
            cursor.execute(f'DELETE FROM "{table}"')


@pytest.fixture(scope="session", autouse=True)
def _quick_flush():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", _delete_rows)
        yield


@pytest.fixture(autouse=True)
def _nobody_has_asked_yet():
    """Begin each test with no requests counted, and nothing remembered."""
    rates.forget()
    cache.clear()


@pytest.fixture
def runpod() -> FakeRunPod:
    return FakeRunPod()


def pytest_sessionfinish() -> None:
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)


@pytest.fixture
def receiver():
    """Start receivers; they are stopped at the end."""
    started = []

    def start(*answers):
        started.append(Receiver(*answers))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="session")
def s3_server():
    """A real S3 server in a process of its own."""
    process = S3Process()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def _s3_is_described_once():
    """Read what describes S3's API once; each new client would, a third of a second."""
    read = functools.cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: read(path))
        yield


@pytest.fixture
def s3(s3_server, settings, _s3_is_described_once):
    """Keep new files in a bucket of their own; return its store."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3_server.bucket(name)
    settings.S3_BUCKET, settings.S3_ENDPOINT_URL = name, s3_server.url
    settings.S3_REGION, settings.S3_KEYS = "us-east-1", (KEY, SECRET)
    return bucket()


@pytest.fixture(scope="session")
def remote():
    """A fake RunPod in a process of its own."""
    process = RemoteProcess()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def account_server():
    """A fake account at RunPod, on loopback."""
    server = FakeAccount()
    yield server
    server.stop()


@pytest.fixture
def remote_account(account_server):
    """The same, empty."""
    account_server.forget()
    return account_server


@pytest.fixture(scope="session")
def registries():
    """Hugging Face and Docker Hub, on loopback."""
    server = FakeRegistries()
    yield server
    server.stop()


@pytest.fixture(params=["graphql", "rest"])
def our_account(request, remote_account, registries, settings):
    """The fake account as ours, by either API; RunPod's job API is there too."""
    point_at(settings, remote_account, registries)
    settings.RUNPOD_ACCOUNT_API = request.param
    return remote_account


@pytest.fixture
def graphql_account(remote_account, registries, settings):
    """The fake account as ours, by GraphQL."""
    point_at(settings, remote_account, registries)
    return remote_account


def point_at(settings, account, registries):
    settings.RUNPOD_KEYS = {"": ACCOUNT_KEY}
    settings.RUNPOD_GRAPHQL_URL = f"{account.url}/graphql"
    settings.RUNPOD_REST_URL = f"{account.url}/rest"
    settings.RUNPOD_API_BASE = f"{account.url}/v2"
    settings.HUGGING_FACE_URL = settings.DOCKER_HUB_URL = registries.url
