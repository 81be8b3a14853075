"""Both sides read the examples of docs/worker-contract.md."""

import json
import sys

import pytest

from jobs.worker_api import manifest
from tests.stack.stack import ROOT

sys.path.append(str(ROOT / "worker_handler"))

from contract import Envelope


def example(name):
    return json.loads((ROOT / "docs" / "examples" / f"{name}.json").read_text())


def test_the_server_reads_what_the_worker_sends():
    assert manifest.progress(example("progress")) == example("progress")
    shown = manifest.manifest(example("manifest"))
    assert shown == {**example("manifest"), "error": None}
    assert manifest.manifest(example("failure"))["error"] == example("failure")["error"]


def test_the_worker_reads_what_the_server_sends(monkeypatch):
    monkeypatch.delenv("SLIPWAY_URL", raising=False)
    envelope = Envelope.of({"_slipway": example("envelope"), "media": "https://x"})
    assert envelope.runner == "anonymize"
    assert envelope.url == "https://slipway.example"
    assert envelope.files["media"]["size"] == 191812


def test_a_worker_that_knows_its_server_talks_to_no_other(monkeypatch):
    monkeypatch.setenv("SLIPWAY_URL", "http://10.0.0.5:8000/")
    assert Envelope.of({"_slipway": example("envelope")}).url == "http://10.0.0.5:8000"


def test_without_an_envelope_there_is_none():
    assert Envelope.of({"media": "https://x"}) is None
    assert Envelope.of({"_slipway": "text"}) is None


def test_a_job_cannot_make_a_worker_import_what_it_names(monkeypatch):
    from errors import UserError  # noqa: PLC0415
    from runners import runner_class  # noqa: PLC0415

    monkeypatch.delenv("SLIPWAY_RUNNER", raising=False)
    for name in ("os:system", "subprocess:Popen", "nope"):
        with pytest.raises(UserError):
            runner_class(name)
    monkeypatch.setenv("SLIPWAY_RUNNER", "runners.echo:Echo")
    assert runner_class("runners.echo:Echo").id == "echo"
