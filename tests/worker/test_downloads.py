"""Files of an input: several at once, continued, compared, and links renewed."""

import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.stack.stack import ROOT

sys.path.append(str(ROOT / "worker_handler"))

import downloads
from errors import Cancelled, InputUnavailable
from runner import InFile, JobContext

CONTENT = bytes(range(256)) * 4000


class Files:
    """A server of files. `script[path]` is what to do to the next requests."""

    def __init__(self):
        self.script, self.asked, outer = {}, [], self
        self.together = self.most = 0
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                with lock:
                    outer.together += 1
                    outer.most = max(outer.most, outer.together)
                try:
                    outer.answer(self)
                finally:
                    with lock:
                        outer.together -= 1

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, request):
        path = request.path
        span = request.headers.get("Range", "")
        self.asked.append((path, span))
        what = self.script.get(path, [])
        step = what.pop(0) if what else ""
        if isinstance(step, int):
            request.send_response(step)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start = int(span[6:-1]) if span else 0
        body = CONTENT[start:]
        request.send_response(206 if span else 200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        body = {"cut": body[:100_000], "wrong": b"x" * len(body)}.get(step, body)
        if step == "wait":
            self.gate.wait(10)
        request.wfile.write(body)


@pytest.fixture
def server():
    made = Files()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def fetch(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PAUSES", (0.01, 0.01))
    reported = []

    def run(*paths, known=None, renew=lambda _: "", cancel=None):
        files = {path.strip("/"): InFile(f"{server.url}{path}") for path in paths}
        job = JobContext(
            tmp_path, lambda *told: reported.append(told), cancel or threading.Event()
        )
        downloads.fetch_all(
            files,
            known or {},
            local=str,
            renew=renew,
            trusted=(server.url,),
            job=job,
        )
        return [file.path.read_bytes() == CONTENT for file in files.values()]

    run.reported = reported
    return run


def told(**more):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return {"a": {"size": len(CONTENT), "sha256": sha256, **more}}


def test_several_files_come_at_once_and_progress_is_of_all(server, fetch):
    server.gate = threading.Barrier(3)
    paths = ["/a", "/b", "/c"]
    server.script = {path: ["wait"] for path in paths}
    assert fetch(*paths) == [True, True, True]
    assert server.most == 3
    fractions = [fraction for fraction, _, _ in fetch.reported]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)


def test_a_break_is_continued_where_it_was(server, fetch):
    server.script = {"/a": ["cut", 503, ""]}
    assert fetch("/a", known=told()) == [True]
    spans = [span for _, span in server.asked]
    assert spans == ["", "bytes=100000-", "bytes=100000-"]


def test_what_is_not_the_uploaded_file_is_fetched_anew(server, fetch):
    server.script = {"/a": ["wrong"]}
    assert fetch("/a", known=told()) == [True]
    assert [span for _, span in server.asked] == ["", ""]


@pytest.mark.parametrize("known", [{"sha256": "0" * 64}, {"size": 5}])
def test_a_file_that_stays_wrong_is_told(fetch, known):
    with pytest.raises(InputUnavailable, match=r"came in place|not the file"):
        fetch("/a", known=told(**known))


def test_an_expired_link_is_renewed_once(server, fetch):
    server.script = {"/a": [403]}
    assert fetch("/a", renew=lambda name: f"{server.url}/fresh/{name}") == [True]
    assert [path for path, _ in server.asked] == ["/a", "/fresh/a"]
    server.script = {"/a": [403], "/fresh/a": [401]}
    with pytest.raises(InputUnavailable, match="answered 401"):
        fetch("/a", renew=lambda name: f"{server.url}/fresh/{name}")


def test_a_file_that_is_not_there_is_told_at_once(server, fetch):
    server.script = {"/a": [404]}
    with pytest.raises(InputUnavailable, match="answered 404"):
        fetch("/a")
    assert len(server.asked) == 1


def test_cancelling_stops_a_download(server, fetch):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        fetch("/a", cancel=cancel)
