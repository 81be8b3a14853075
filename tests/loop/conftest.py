"""A shift that goes by the test's clock and talks to the test's backend."""

import pytest

from jobs.shifts.loop import shift
from tests.factories import make_endpoint
from tests.loop.backend import Backend
from tests.loop.client import StandInLoop
from tests.loop.clock import SHIFT_SECONDS, SteppedClock, StoppedClock


@pytest.fixture(autouse=True)
def _nothing_is_known_of_any_endpoint(monkeypatch):
    monkeypatch.setattr(shift, "_known", {})


@pytest.fixture
def clock():
    return StoppedClock()


@pytest.fixture
def backend():
    backend = Backend()
    yield backend
    backend.stop()


@pytest.fixture
def other_backend():
    backend = Backend()
    yield backend
    backend.stop()


@pytest.fixture
def stepped(backend):
    """The clock of all shifts of a test."""
    return SteppedClock(held=lambda: backend.holding)


@pytest.fixture
def work(stepped):
    """Do a shift of one tick, and one more after each step."""

    def work(*steps):
        stepped.steps = list(steps)
        stepped.is_over.clear()
        return shift.work(SHIFT_SECONDS, stepped)

    return work


@pytest.fixture
def endpoint(backend):
    """An endpoint whose jobs the backend has."""
    return make_endpoint(contract="plain", api_base=backend.url, release_window=None)


@pytest.fixture
def loop(clock):
    """What actions need of a shift, with one endpoint."""
    return StandInLoop(make_endpoint(contract="plain"), clock)
