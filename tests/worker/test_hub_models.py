"""Models from a hub: once, whole, shared, and never more than the volume holds.

The real `huggingface_hub` asks a stand-in for the hub on loopback.
"""

import json
import os
import shutil
import subprocess
import sys
import time

import httpx
import pytest

from tests.stack.stack import ROOT, free_port, wait_until

COMMIT = "a" * 40
SIZE = 2_560_000
ENSURE = """
import json, sys
sys.path.insert(0, {handler!r})
from slipway_worker import hub_models
from slipway_worker.errors import SetupFailed
for name, value in json.loads(sys.argv[2]).items():
    setattr(hub_models, name, value)
try:
    print("PATH", hub_models.ensure_model(sys.argv[1]))
except SetupFailed as error:
    print("FAILED", error)
"""


class Hub:
    def __init__(self, process, url):
        self.process, self.url = process, url

    def script(self, **fields):
        httpx.post(f"{self.url}/_script", json=fields, trust_env=False)

    def asked(self, what=""):
        lines = httpx.get(f"{self.url}/_asked", trust_env=False).json()
        return [line for line in lines if what in line]


@pytest.fixture
def hub():
    port = free_port()
    command = [sys.executable, "-m", "tests.worker.hub", str(port), str(SIZE)]
    process = subprocess.Popen(command, cwd=ROOT)
    server = Hub(process, f"http://127.0.0.1:{port}")

    def is_up():
        try:
            return httpx.get(f"{server.url}/_asked", trust_env=False).is_success
        except httpx.TransportError:
            return False

    wait_until(is_up, 20)
    yield server
    process.kill()
    process.wait()


@pytest.fixture
def ensure(hub, tmp_path):
    """Ask for the model in a process of its own; return what it prints."""
    volume = tmp_path / "volume"
    volume.mkdir()

    def begin(name=f"org/model@{COMMIT}", settings=None, **environment):
        patched = json.dumps(
            {"RESERVE_BYTES": 0, "WAIT_SECONDS": 0.1, **(settings or {})}
        )
        code = ENSURE.format(handler=str(ROOT / "worker_handler"))
        return subprocess.Popen(
            [sys.executable, "-c", code, name, patched],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "HF_HOME": str(volume),
                "HF_ENDPOINT": hub.url,
                "HF_HUB_DISABLE_TELEMETRY": "1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(*arguments, **options):
        text, errors = begin(*arguments, **options).communicate(timeout=60)
        lines = [
            line for line in text.splitlines() if line.startswith(("PATH", "FAILED"))
        ]
        assert lines, errors
        return lines[-1]

    run.begin, run.volume = begin, volume
    return run


def folder(answer):
    assert answer.startswith("PATH "), answer
    from pathlib import Path  # noqa: PLC0415

    return Path(answer.removeprefix("PATH "))


def test_a_model_is_fetched_once_and_then_costs_no_request(ensure, hub):
    model = folder(ensure())
    assert sorted(path.name for path in model.iterdir()) == ["config.json", "model.bin"]
    assert (model / "model.bin").stat().st_size == SIZE
    before = len(hub.asked())
    assert folder(ensure()) == model
    assert len(hub.asked()) == before
    assert folder(ensure(HF_HUB_OFFLINE="1")) == model


def test_nothing_is_kept_twice(ensure):
    ensure()
    used = sum(
        path.lstat().st_size
        for path in ensure.volume.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    assert used < SIZE * 1.1


def test_a_volume_that_is_too_small_is_an_error_before_the_first_byte(ensure, hub):
    answer = ensure(VOLUME_QUOTA_GB="0.001")
    assert answer.startswith("FAILED org/model needs 0.0 GB more and 0.0 GB are free")
    assert "Enlarge the volume" in answer
    assert not hub.asked("GET /org/model/resolve")


def test_a_damaged_file_is_noticed_and_mended(ensure, hub):
    model = folder(ensure())
    (model / "model.bin").resolve().write_bytes(b"cut")
    assert (folder(ensure()) / "model.bin").stat().st_size == SIZE


def test_a_file_that_came_wrong_is_fetched_again(ensure, hub):
    hub.script(wrong="model.bin", once=True)
    model = folder(ensure())
    assert (model / "model.bin").read_bytes()[:4] == bytes(range(4))


def test_a_file_that_stays_wrong_is_told(ensure, hub):
    hub.script(wrong="model.bin")
    assert "model.bin is not what the hub says it is" in ensure()


def test_two_workers_fetch_it_once(ensure, hub):
    both = [ensure.begin() for _ in range(2)]
    answers = [one.communicate(timeout=60)[0] for one in both]
    assert all("PATH" in answer for answer in answers)
    fetched = [line for line in hub.asked("GET") if line.endswith("model.bin")]
    assert len(fetched) == 1


def test_the_lock_of_a_dead_worker_is_taken_over(ensure):
    ensure()
    (marker,) = ensure.volume.glob(".slipway/*.json")
    marker.unlink()
    lock = marker.with_suffix(".lock")
    lock.mkdir()
    old = time.time() - 1000
    os.utime(lock, (old, old))
    assert ensure().startswith("PATH")
    assert not lock.exists()


def test_old_leftovers_of_dead_downloads_are_swept(ensure):
    model = folder(ensure())
    blobs = model.parent.parent / "blobs"
    old, new = blobs / "x.1.incomplete", blobs / "x.2.incomplete"
    for path in (old, new):
        path.write_bytes(b"rest")
    os.utime(old, (1, 1))
    shutil.rmtree(ensure.volume / ".slipway")
    ensure()
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"status": 403, "code": "GatedRepo"}, "is gated: accept its terms"),
        ({"status": 404, "code": "RevisionNotFound"}, "has no such commit"),
        ({"status": 404, "code": "RepoNotFound"}, "There is no org/model on the hub"),
    ],
)
def test_what_the_hub_refuses_is_told_with_the_remedy(ensure, hub, script, words):
    hub.script(**script)
    assert words in ensure()


def test_offline_and_not_there_is_told(ensure):
    assert "not on this volume, and HF_HUB_OFFLINE is set" in ensure(HF_HUB_OFFLINE="1")


@pytest.mark.parametrize("name", ["org/model", "org/model@main", "model@" + COMMIT])
def test_only_a_commit_names_a_model(ensure, name):
    assert "write organisation/name@commit" in ensure(name)
