"""A result that nobody takes is kept on the volume, and delivered when somebody does."""

import hashlib
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.stack.stack import ROOT

sys.path.append(str(ROOT / "worker_handler"))

import inbox
from lifetime import Stop
from work import work

ATTEMPT = "01a1fc9415d87a388eb9ec20a6b7b422"


class FakeSlipway:
    """What a worker sees of Slipway; what ends with one of `down` is not answered."""

    def __init__(self):
        self.down, self.files, self.manifests, outer = set(), {}, [], self
        self.answers = {}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                call = self.path.rpartition("/")[2]
                length = int(self.headers.get("Content-Length", 0))
                told = json.loads(self.rfile.read(length) or b"{}")
                if call in outer.down:
                    return  # closed without a word
                if call == "outputs":
                    url = f"{outer.url}/put/{told['name']}"
                    self.send(200, {"method": "PUT", "url": url})
                    return
                if call == "finish" and "finish" not in outer.answers:
                    outer.manifests.append(told)
                self.send(outer.answers.get(call, 200), {"continue": True})

            def do_PUT(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                name = self.path.rpartition("/")[2]
                outer.files[name] = body
                sha256 = hashlib.sha256(body).hexdigest()
                self.send(201, {"name": name, "size": len(body), "sha256": sha256})

            def send(self, status, body):
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def slipway(monkeypatch):
    made = FakeSlipway()
    monkeypatch.setenv("SLIPWAY_URL", made.url)
    monkeypatch.setattr(inbox, "PAUSES", (0.01, 0.01))
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def box(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_INBOX", str(tmp_path / "inbox"))
    return tmp_path / "inbox"


def do(slipway, attempt=ATTEMPT):
    names = ("job", "attempt", "token", "runner")
    envelope = dict(zip(names, ("j1", attempt, "token-of-it", "echo"), strict=True))
    told = {
        "message": "hi",
        "megabytes": 1,
        "_slipway": {**envelope, "url": slipway.url},
    }
    return work({"id": "r1", "input": told}, Stop())


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
