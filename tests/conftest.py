"""Shared fixtures."""

import shutil

import pytest
from django.conf import settings

from tests.fakes import FakeRunPod


@pytest.fixture
def runpod() -> FakeRunPod:
    return FakeRunPod()


def pytest_sessionfinish() -> None:
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)
