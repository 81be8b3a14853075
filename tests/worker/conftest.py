"""What tests of the worker share: servers on loopback, and files fetched from them."""

import threading
import time

import pytest

# The worker's modules know each other by their bare names.
from slipway_worker import downloads, inbox
from slipway_worker.runner import InFile, JobContext
from tests.worker.files import CONTENT, Files
from tests.worker.slipway import FakeSlipway


@pytest.fixture
def server():
    made = Files()
    yield made
    made.stop()


@pytest.fixture
def fetch(server, tmp_path, monkeypatch):
    """Fetch files as a job does; return which are whole. `reported` is the progress."""
    monkeypatch.setattr(downloads, "PAUSES", (0.01, 0.01))
    reported = []

    def run(
        *paths, known=None, renew=lambda _: "", cancel=None, trusted=None, local=str
    ):
        urls = [path if "://" in path else f"{server.url}{path}" for path in paths]
        files = {url.rpartition("/")[2] or "a": InFile(url) for url in urls}
        job = JobContext(
            tmp_path, lambda *line: reported.append(line), cancel or threading.Event()
        )
        downloads.fetch_all(
            files,
            known or {},
            local=local,
            renew=renew,
            trusted=(server.url,) if trusted is None else trusted,
            job=job,
        )
        return [file.path.read_bytes() == CONTENT for file in files.values()]

    run.reported = reported
    return run


@pytest.fixture
def slipway(monkeypatch, tmp_path):
    """A server that this worker reaches at an address of its own; no volume is here."""
    made = FakeSlipway()
    monkeypatch.setenv("SLIPWAY_URL", made.url)
    monkeypatch.delenv("SLIPWAY_INBOX", raising=False)
    monkeypatch.setattr(inbox, "VOLUME", tmp_path / "nowhere")
    yield made
    made.stop()


@pytest.fixture
def pauses(monkeypatch):
    """How long somebody would have waited; nobody does."""
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited
