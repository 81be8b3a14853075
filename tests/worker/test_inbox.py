"""A result that nobody takes is kept on the volume, and delivered when somebody does."""

import os

import pytest

from slipway_worker import inbox
from slipway_worker.lifetime import Stop
from slipway_worker.work import work
from tests.worker.slipway import ATTEMPT


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(inbox, "PAUSES", (0.01, 0.01))


@pytest.fixture
def box(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_INBOX", str(tmp_path / "inbox"))
    return tmp_path / "inbox"


def do(slipway, attempt=ATTEMPT):
    sent = {"message": "hi", "megabytes": 1}
    sent["_slipway"] = slipway.envelope(attempt=attempt)
    return work({"id": "r1", "input": sent}, Stop())


@pytest.mark.parametrize("call", ["outputs", "finish"])
def test_what_cannot_be_delivered_is_kept_and_delivered_later(slipway, box, call):
    slipway.down = {call}
    assert do(slipway)["error"].startswith("worker lost")
    assert [path.name for path in box.iterdir()] == [ATTEMPT]
    inbox.deliver_all()  # still down
    assert [path.name for path in box.iterdir()] == [ATTEMPT]
    slipway.down = set()
    inbox.deliver_all()
    (manifest,) = slipway.manifests
    assert manifest["output"] == {"message": "hi"}
    assert manifest["files"][0]["size"] == len(slipway.files["echo.bin"]) == 1024 * 1024
    assert list(box.iterdir()) == []


def test_what_nobody_wants_any_more_is_thrown_away(slipway, box):
    slipway.down = {"finish"}
    do(slipway)
    slipway.down, slipway.answers = set(), {"finish": 409}
    inbox.deliver_all()
    assert list(box.iterdir()) == []
    assert slipway.manifests == []


def test_without_a_volume_nothing_is_kept(slipway, monkeypatch, tmp_path):
    monkeypatch.delenv("SLIPWAY_INBOX", raising=False)
    monkeypatch.setattr(inbox, "VOLUME", tmp_path / "nowhere")
    assert inbox.folder() is None
    assert inbox.pauses() is None  # then it insists for an hour


def test_two_workers_deliver_a_result_once(slipway, box):
    slipway.down = {"finish"}
    do(slipway)
    slipway.down = set()
    taken = inbox._taken(box / ATTEMPT)
    inbox.deliver_all()
    assert slipway.manifests == []
    os.utime(taken, (1, 1))  # its worker has died
    inbox.deliver_all()
    assert len(slipway.manifests) == 1


def test_a_name_from_outside_is_no_path(slipway, box, tmp_path):
    slipway.down = {"finish"}
    do(slipway, attempt="../../escaped")
    assert not (tmp_path.parent / "escaped").exists()
    assert not box.exists() or not list(box.iterdir())


def test_a_damaged_one_is_dropped_and_the_others_are_delivered(slipway, box):
    slipway.down = {"finish"}
    do(slipway)
    (box / "00").mkdir()
    (box / "00" / "delivery.json").write_text("{oops")
    slipway.down = set()
    inbox.deliver_all()
    assert len(slipway.manifests) == 1
    assert list(box.iterdir()) == []


# --- refused ---------------------------------------------------------------------------
REFUSAL = {"code": "too_large", "detail": "echo.bin is larger than 1000 bytes."}


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refusal_in_words_ends_the_job_and_is_not_kept(slipway, box, status):
    slipway.answers = {"outputs": (status, REFUSAL)}
    assert do(slipway) == {"error": REFUSAL["detail"]}
    (manifest,) = slipway.manifests
    assert manifest["error"] == {
        "code": "too_large",
        "message": REFUSAL["detail"],
        "retryable": False,
    }
    assert not box.exists()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_server_that_does_not_know_the_worker_may_know_it_later(slipway, box, status):
    slipway.answers = {"outputs": (status, REFUSAL)}
    assert do(slipway)["error"].startswith("worker lost")
    assert [path.name for path in box.iterdir()] == [ATTEMPT]


@pytest.mark.parametrize(
    "words", [{"error": "no"}, ["no"], {"code": "no"}, {"code": 7, "detail": "no"}]
)
def test_what_is_not_said_in_our_words_may_be_a_proxy_and_is_kept(slipway, box, words):
    slipway.answers = {"outputs": (413, words)}
    assert do(slipway)["error"].startswith("worker lost")
    assert [path.name for path in box.iterdir()] == [ATTEMPT]


def test_a_kept_result_that_is_refused_is_thrown_away(slipway, box):
    slipway.down = {"finish"}
    do(slipway)
    slipway.down, slipway.answers = set(), {"finish": (422, REFUSAL)}
    inbox.deliver_all()
    assert list(box.iterdir()) == []
