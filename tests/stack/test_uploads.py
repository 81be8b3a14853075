"""Uploads against a running server: killed, cut, stalled, doubled, out of space."""

import contextlib
import hashlib
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing

import httpx
import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect

from tests.stack.chromium import needs_chromium, signed_in, slow
from tests.stack.stack import ROOT, upload, wait_until

pytestmark = pytest.mark.stack
MIB = 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}


def open_upload(api, size, **more):
    answer = api.post("/api/v1/uploads", json={"filename": "x", "size": size, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def offset_of(api, opened):
    return int(api.head(opened["url"], headers=TUS).headers["Upload-Offset"])


def patch(api, opened, offset, content):
    headers = {
        **TUS,
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
    }
    return api.patch(opened["url"], headers=headers, content=content)


def shown(api, opened):
    return api.get(f"/api/v1/uploads/{opened['id']}").json()


def key_of(api):
    return api.headers["Authorization"].removeprefix("Bearer ")


# --- tuspy, killed ------------------------------------------------------------------------
class Client:
    """tuspy in a process."""

    def __init__(self, stack, api, path, url=""):
        command = [sys.executable, "-m", "tests.stack.tus_client", stack.url]
        self.process = subprocess.Popen(
            [*command, key_of(api), str(path), *([url] if url else [])],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = self.process.stdout.readline().strip()

    def read_until(self, offset):
        """Read acknowledged offsets until one is at least `offset`."""
        while (line := self.process.stdout.readline()) and int(line) < offset:
            pass
        return int(line)

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        """Wait for its end; return the exit code."""
        self.process.stdout.close()
        return self.process.wait(timeout=120)


def test_300_mb_survive_kill_9_of_server_and_client(fragile_stack, tmp_path):
    """The server dies in the middle, then the client; the hash is that of the file."""
    path = tmp_path / "big.bin"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(300):
            piece = os.urandom(MIB)
            file.write(piece)
            digest.update(piece)
    with fragile_stack.client() as api:
        first = Client(fragile_stack, api, path)
        first.read_until(60 * MIB)
        fragile_stack.kill("web")
        acknowledged = first.read_until(120 * MIB)
        first.kill()
        opened = {"id": first.url.rpartition("/")[2], "url": first.url}
        fragile_stack.kill("web")
        wait_until(fragile_stack.is_ready, what="the server is back")
        kept = offset_of(api, opened)
        assert kept >= acknowledged
        second = Client(fragile_stack, api, path, first.url)
        assert second.read_until(0) >= kept
        second.read_until(300 * MIB)
        assert second.end() == 0
        wait_until(lambda: shown(api, opened)["status"] == "ready", what="verified")
        assert shown(api, opened)["sha256"] == digest.hexdigest()


# --- broken connections -------------------------------------------------------------------
def connect(stack, api, opened, offset, length):
    """Send the head of a PATCH; return the socket."""
    path = httpx.URL(opened["url"]).path
    connection = socket.create_connection(("127.0.0.1", stack.port))
    connection.sendall(
        f"PATCH {path} HTTP/1.1\r\nHost: 127.0.0.1:{stack.port}\r\n"
        f"Authorization: Bearer {key_of(api)}\r\nTus-Resumable: 1.0.0\r\n"
        f"Upload-Offset: {offset}\r\nContent-Length: {length}\r\n"
        "Content-Type: application/offset+octet-stream\r\n\r\n".encode()
    )
    return connection


def reset(connection):
    linger = b"\1\0\0\0\0\0\0\0"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


@pytest.mark.parametrize("ending", ["reset", "closed", "half-closed", "stalled"])
def test_a_broken_connection_keeps_what_came_and_never_blocks_the_next(
    stack, api, ending
):
    content = os.urandom(10 * MIB)
    opened = open_upload(api, len(content))
    connection = connect(stack, api, opened, 0, len(content))
    connection.sendall(content[: 6 * MIB])
    wait_until(lambda: shown_size(stack, opened) >= 5 * MIB, what="bytes are on disk")
    if ending == "reset":
        reset(connection)
    elif ending == "closed":
        connection.close()
    elif ending == "half-closed":
        connection.shutdown(socket.SHUT_WR)
    at = offset_of(api, opened)  # makes this client the next writer
    assert 5 * MIB <= at <= 6 * MIB
    began = time.monotonic()
    answer = patch(api, opened, at, content[at:])
    if answer.status_code == 409:  # the old writer's last piece came after our HEAD
        at = offset_of(api, opened)
        answer = patch(api, opened, at, content[at:])
    assert answer.status_code == 204, answer.text
    assert time.monotonic() - began < 20
    assert shown(api, opened)["sha256"] == hashlib.sha256(content).hexdigest()
    connection.close()


def shown_size(stack, opened):
    path = stack.folder / "store" / "in" / opened["id"].replace("-", "")
    return path.stat().st_size if path.exists() else 0


@pytest.mark.smoke
def test_two_writers_at_once_make_one_whole_file(stack, api):
    content = os.urandom(20 * MIB)
    opened = open_upload(api, len(content))
    met = []

    def write():
        with stack.client() as mine:
            mine.headers["Authorization"] = api.headers["Authorization"]
            for _ in range(60):
                if shown(mine, opened)["status"] == "ready":
                    return
                at = offset_of(mine, opened)
                if at < len(content):
                    piece = content[at : at + 3 * MIB]
                    met.append(patch(mine, opened, at, piece).status_code)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert shown(api, opened)["sha256"] == hashlib.sha256(content).hexdigest()
    assert set(met) <= {204, 403, 409, 423}


# --- a full disk --------------------------------------------------------------------------
def limit_files(stack, size):
    """Let no process of the web part write files larger than `size` (as a full disk)."""
    for pid in stack.pids("web"):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_is_507_and_space_later_lets_the_upload_go_on(stack, api):
    content = os.urandom(12 * MIB)
    opened = open_upload(api, len(content))
    limit_files(stack, 7 * MIB)
    try:
        answer = patch(api, opened, 0, content)
        assert answer.status_code == 507
        assert "kept" in answer.text
        assert 5 * MIB < (at := offset_of(api, opened)) <= 7 * MIB
        other = api.post("/api/v1/jobs", json={"endpoint": "echo", "input": {}})
        assert other.status_code == 201  # the database is well
    finally:
        limit_files(stack, resource.RLIM_INFINITY)
    assert patch(api, opened, at, content[at:]).status_code == 204
    assert shown(api, opened)["sha256"] == hashlib.sha256(content).hexdigest()


# --- Chromium -----------------------------------------------------------------------------
ACTIVE = {
    "page.html": b"<!doctype html><html><script>parent.hit=1;alert(1)</script></html>",
    "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">'
    b"<script>alert(2)</script></svg>",
    "polyglot.gif": b"GIF89a/*"
    + bytes(20)
    + b"*/=1;alert(1)//<script>alert(2)</script>",
    "page.mhtml": b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"
    b"<html><script>alert(1)</script></html>",
    "text.txt": b"<script>alert(1)</script>",
}


class TestInChromium:
    pytestmark = needs_chromium

    @pytest.fixture
    def page(self, browser, stack):
        with signed_in(browser, stack, is_quiet=False) as page:  # much is to be blocked
            yield page

    def test_a_dead_server_and_a_closed_tab_cost_nothing(
        self, browser, fragile_stack, tmp_path
    ):
        """tus-js-client, as the page uses it."""
        path = tmp_path / "holiday.bin"
        path.write_bytes(os.urandom(160 * MIB))
        with signed_in(browser, fragile_stack) as page:
            page.goto("/new/anonymize/")
            slow(page, 20 * MIB)
            page.set_input_files("input[type=file]", path)
            expect(page.get_by_text("/s ·")).to_be_visible(timeout=20_000)
            fragile_stack.kill("web")
            wait_until(fragile_stack.is_ready, what="the server is back")
            page.goto("about:blank")
        with signed_in(browser, fragile_stack) as page:
            page.goto("/new/anonymize/")
            with page.expect_request(lambda one: one.method == "PATCH") as first:
                page.set_input_files("input[type=file]", path)
            assert int(first.value.headers["upload-offset"]) > 0
            expect(page.get_by_text("· uploaded")).to_be_visible(timeout=60_000)
        rows = "SELECT status, sha256 FROM jobs_upload WHERE filename = 'holiday.bin'"
        [row] = wait_until(
            lambda: [r for r in fragile_stack.query(rows) if r[0] == "ready"],
            what="the file is verified",
        )
        assert row[1] == hashlib.sha256(path.read_bytes()).hexdigest()

    @pytest.mark.parametrize("name", ACTIVE)
    def test_b48_an_uploaded_file_never_runs_script_on_our_origin(
        self, page, stack, api, name
    ):
        id = upload(api, ACTIVE[name], name).removeprefix("upload:")
        link = stack.manage(
            *("shell", "-v", "0", "-c"),
            "from jobs.models import Upload; from jobs.services.files import downloads;"
            f"print(downloads.upload_url(Upload.objects.get(pk='{id}')))",
        )
        dialogs = []
        page.on("dialog", lambda dialog: (dialogs.append(name), dialog.dismiss()))
        for tag in ("iframe", "embed", "object", "script", "img"):
            attribute = "data" if tag == "object" else "src"
            page.evaluate(
                """([tag, attribute, link]) => new Promise((resolve) => {
                    const made = document.createElement(tag);
                    made.onload = made.onerror = () => setTimeout(resolve, 50);
                    setTimeout(resolve, 1000);
                    made[attribute] = link;
                    document.body.append(made);
                })""",
                [tag, attribute, link],
            )
        with closing(page.context.new_page()) as tab:
            tab.on("dialog", lambda dialog: (dialogs.append(name), dialog.dismiss()))
            # A file that is only for download makes no page: the visit is aborted.
            with contextlib.suppress(PlaywrightError):
                tab.goto(link)
        assert dialogs == []
        assert page.evaluate("window.hit") is None
