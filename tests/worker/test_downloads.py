"""Files of an input: several at once, continued, compared, and links renewed."""

import hashlib
import threading
import time

import pytest

from slipway_worker import downloads
from slipway_worker.errors import Cancelled, InputUnavailable
from tests.worker.files import CONTENT

SIZE = len(CONTENT)


def described(**more):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return {"a": {"size": SIZE, "sha256": sha256, **more}}


def fractions(fetch):
    return [fraction for fraction, _, _ in fetch.reported]


# --- several at once ----------------------------------------------------------------------
def test_several_files_come_at_once_and_progress_is_of_all(server, fetch):
    server.gate = threading.Barrier(3)
    paths = ["/a", "/b", "/c"]
    server.script = {path: ["wait"] for path in paths}
    assert fetch(*paths) == [True, True, True]
    assert server.most == 3
    assert fractions(fetch) == sorted(fractions(fetch))
    assert fractions(fetch)[-1] == pytest.approx(1)
    assert {stage for _, stage, _ in fetch.reported} == {"downloading"}


def test_never_more_than_four_come_at_once(server, fetch, monkeypatch):
    whole = server.answer

    def held(request):
        server.wait_for_more_than(4, seconds=0.2)
        whole(request)

    monkeypatch.setattr(server, "answer", held)
    assert fetch(*(f"/{letter}" for letter in "abcdef")) == [True] * 6
    assert server.most == 4


def test_when_one_fails_the_others_write_no_more(server, fetch, tmp_path):
    server.gate, server.script = threading.Event(), {"/a": [404], "/b": ["wait"]}
    threading.Timer(0.2, server.gate.set).start()
    with pytest.raises(InputUnavailable, match="answered 404"):
        fetch("/a", "/b")
    assert (tmp_path / "input-b").read_bytes() == CONTENT


def test_an_input_without_files_asks_nobody(server, fetch):
    assert fetch() == []
    assert (server.asked, fetch.reported) == ([], [])


def test_cancelling_stops_a_download(server, fetch):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        fetch("/a", cancel=cancel)


# --- progress -----------------------------------------------------------------------------
def test_the_progress_of_a_file_of_unknown_size_is_unknown(server, fetch):
    server.script = {"/a": ["unsized"]}
    assert fetch("/a") == [True]
    assert set(fractions(fetch)) == {None}


def test_a_file_of_unknown_size_does_not_hide_the_progress_of_the_others(server, fetch):
    server.script = {"/a": ["unsized"]}
    assert fetch("/a", "/b") == [True, True]
    assert max(fractions(fetch)) == pytest.approx(0.5)


def test_progress_goes_on_after_a_break_where_it_was(server, fetch):
    server.script = {"/a": ["cut"]}
    fetch("/a")
    assert fractions(fetch) == sorted(fractions(fetch))
    assert fractions(fetch)[-1] == 1
    assert all(
        part * SIZE == pytest.approx(round(part * SIZE)) for part in fractions(fetch)
    )


# --- breaks -------------------------------------------------------------------------------
@pytest.mark.parametrize("problem", [429, 500, 503])
def test_a_break_is_continued_where_it_was(server, fetch, problem):
    server.script = {"/a": ["cut", problem, ""]}
    assert fetch("/a", known=described()) == [True]
    spans = [span for _, span in server.asked]
    assert spans == ["", "bytes=100000-", "bytes=100000-"]


def test_a_server_that_cannot_continue_sends_the_file_anew(server, fetch):
    server.script = {"/a": ["cut", "ignore range"]}
    assert fetch("/a") == [True]


def test_a_file_that_broke_off_behind_its_last_byte_is_fetched_anew(server, fetch):
    server.script = {"/a": ["never ends"]}
    assert fetch("/a") == [True]
    assert [span for _, span in server.asked] == ["", f"bytes={SIZE}-", ""]


def test_it_is_tried_four_times_with_longer_and_longer_pauses(
    server, fetch, monkeypatch
):
    waited = []
    monkeypatch.undo()
    monkeypatch.setattr(time, "sleep", waited.append)
    server.script = {"/a": [503] * 9}
    with pytest.raises(InputUnavailable, match=r"fetched: the server answered 503\.$"):
        fetch("/a")
    assert (len(server.asked), waited) == (4, [0.5, 2.0, 5.0])


@pytest.mark.parametrize(
    ("step", "words"),
    [("wait", "the server stopped sending"), ("cut", "RemoteProtocolError")],
)
def test_why_a_server_broke_off_is_said(server, fetch, monkeypatch, step, words):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
    server.gate, server.script = threading.Event(), {"/a": [step] * 3}
    with pytest.raises(InputUnavailable, match=f"could not be fetched: {words}"):
        fetch("/a")
    server.gate.set()
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [204, 302, 400, 404, 410, 416])
def test_a_file_that_is_not_there_is_said_at_once(server, fetch, status):
    server.script = {"/a": [status]}
    with pytest.raises(InputUnavailable, match=f"the server answered {status}"):
        fetch("/a")
    assert len(server.asked) == 1


# --- what our server knows of a file ------------------------------------------------------
@pytest.mark.parametrize("wrong", [{}, {"size": None}, {"sha256": None}])
def test_what_is_not_the_uploaded_file_is_fetched_anew(server, fetch, wrong):
    server.script = {"/a": ["wrong" if "sha256" not in wrong else "unsized"]}
    assert fetch("/a", known=described(**wrong)) == [True]
    assert {span for _, span in server.asked} == {""}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sha256": "0" * 64}, "what came is not the file that was uploaded"),
        ({"size": 5}, f"{SIZE} bytes came in place of 5"),
        ({"size": 0}, f"{SIZE} bytes came in place of 0"),
    ],
)
def test_a_file_that_stays_wrong_is_an_error(server, fetch, wrong, words, tmp_path):
    with pytest.raises(InputUnavailable, match=words):
        fetch("/a", known=described(**wrong))
    assert [span for _, span in server.asked] == [""] * 3
    assert not (tmp_path / "input-a").exists()


@pytest.mark.parametrize(
    "known", [{"a": "nonsense"}, {"a": {"size": True, "sha256": None}}, {"b": {}}]
)
def test_where_nothing_is_known_nothing_is_compared(fetch, known):
    assert fetch("/a", known=known) == [True]


@pytest.mark.parametrize("steps", [["huge"], ["unsized"], ["cut", "cut"]])
def test_a_file_over_the_limit_is_refused(server, fetch, monkeypatch, steps):
    """Also where its server says no size, or only that of the rest."""
    most = 150_000 if len(steps) == 2 else SIZE - 1
    if steps != ["huge"]:
        monkeypatch.setattr(downloads, "MAX_BYTES", most)
    server.script = {"/a": steps}
    with pytest.raises(InputUnavailable, match="larger than 100 GiB"):
        fetch("/a")


def test_a_file_of_just_the_limit_is_taken(server, fetch, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_BYTES", SIZE)
    assert fetch("/a") == [True]


# --- links whose time is over -------------------------------------------------------------
@pytest.mark.parametrize("status", [401, 403])
def test_an_expired_link_is_renewed_once(server, fetch, status):
    def renew(name):
        return f"{server.url}/fresh/{name}"

    server.script = {"/a": [status]}
    assert fetch("/a", renew=renew) == [True]
    assert [path for path, _ in server.asked] == ["/a", "/fresh/a"]
    server.script = {"/a": [status], "/fresh/a": [status, ""]}
    with pytest.raises(InputUnavailable, match=f"the server answered {status}"):
        fetch("/a", renew=renew)


def test_a_renewed_link_goes_on_where_the_old_one_broke_off(server, fetch):
    server.script = {"/a": ["cut", 403]}
    assert fetch("/a", renew=lambda name: f"{server.url}/fresh/{name}") == [True]
    assert server.asked[-1] == ("/fresh/a", "bytes=100000-")


def test_a_link_that_nobody_renews_is_an_error(server, fetch):
    server.script = {"/a": [403]}
    with pytest.raises(InputUnavailable, match="the server answered 403"):
        fetch("/a")
    assert len(server.asked) == 1
