"""Where files of an input may come from: our server, its bucket, and public addresses."""

import socket
import threading
from contextlib import suppress

import pytest

from slipway_worker.errors import InputUnavailable
from tests.worker.files import Files


@pytest.fixture
def other():
    """Another server, which is not ours."""
    made = Files()
    yield made
    made.stop()


@pytest.fixture
def names(monkeypatch):
    """Resolve names as the test says: {name: one address for each time}."""
    known, real = {}, socket.getaddrinfo

    def resolve(host, *rest, **more):
        addresses = known.get(host, [host])
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return real(address, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.fixture
def private(monkeypatch):
    monkeypatch.setenv("WORKER_ALLOW_PRIVATE_URLS", "1")


def test_only_our_own_server_may_be_private(server, other, fetch):
    assert fetch("/a") == [True]
    with pytest.raises(InputUnavailable):
        fetch(f"{other.url}/a")
    assert other.asked == []


def test_an_address_that_only_begins_like_ours_is_not_ours(server, fetch):
    with pytest.raises(InputUnavailable):
        fetch("/a", trusted=(server.url[:-1],))
    assert server.asked == []


@pytest.mark.parametrize("base", ["", "https://slipway.example"])
def test_a_base_that_is_empty_or_another_trusts_nobody(server, fetch, base):
    with pytest.raises(InputUnavailable):
        fetch("/a", trusted=(base,))


def test_each_of_several_bases_is_trusted(server, other, fetch):
    both = (server.url, other.url)
    assert fetch("/a", f"{other.url}/b", trusted=both) == [True, True]


@pytest.mark.parametrize("cut", [0, 1])
def test_the_link_of_a_stranger_is_not_renewed(server, fetch, private, cut):
    """Also where its address begins like ours."""
    base = server.url[:-1] if cut else "http://slipway.example"
    server.script = {"/a": [403]}
    with pytest.raises(InputUnavailable, match="answered 403"):
        fetch("/a", trusted=(base,), renew=lambda _: pytest.fail("renewed"))


def test_links_of_our_server_are_asked_where_we_reach_it(server, fetch):
    def local(url):
        return url.replace("https://slipway.example", server.url)

    assert fetch("https://slipway.example/files/a", local=local) == [True]
    assert server.asked == [("/files/a", "")]


def test_proxies_of_the_environment_are_not_used(server, fetch, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert fetch("/a") == [True]


def test_files_come_as_they_are(server, fetch):
    fetch("/a")
    assert server.headers[0]["Accept-Encoding"] == "identity"


# --- redirects ----------------------------------------------------------------------------
def test_three_redirects_are_followed_and_no_more(server, fetch):
    way = [("to", "/b"), ("to", f"{server.url}/c"), ("to", "d")]
    server.script = dict(zip(("/a", "/b", "/c"), ([step] for step in way), strict=True))
    assert fetch("/a") == [True]
    assert [path for path, _ in server.asked] == ["/a", "/b", "/c", "/d"]
    server.script = {"/a": [("to", "/a")] * 9}
    with pytest.raises(InputUnavailable, match="redirects too often"):
        fetch("/a")
    assert len(server.asked) == 8


def test_a_redirect_to_a_private_address_is_refused(server, other, fetch):
    server.script = {"/a": [("to", f"{other.url}/a")]}
    with pytest.raises(InputUnavailable):
        fetch("/a")
    assert other.asked == []


def test_an_address_that_is_none_is_the_fault_of_the_input(server, fetch):
    with pytest.raises(InputUnavailable, match="not a valid URL"):
        fetch(f"{server.url}/\x01/a")


# --- the checked address is the one that is asked -----------------------------------------
def test_a_name_is_resolved_once_and_its_server_hears_the_name(
    server, fetch, names, private
):
    names["files.example"] = ["127.0.0.1", "127.0.0.2"]
    assert fetch(f"http://files.example:{server.port}/a", trusted=()) == [True]
    assert server.headers[0]["Host"] == f"files.example:{server.port}"


def test_a_certificate_is_asked_for_by_the_name(fetch, names, private):
    names["files.example"] = ["127.0.0.1"]
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen():
            with suppress(OSError):  # closed at the end
                while True:
                    client, _ = listening.accept()
                    with client:
                        heard.append(client.recv(10_000))

        threading.Thread(target=listen, daemon=True).start()
        with pytest.raises(InputUnavailable):
            fetch(f"https://files.example:{listening.getsockname()[1]}/a", trusted=())
        listening.shutdown(socket.SHUT_RDWR)
    assert b"files.example" in heard[0]  # what TLS calls SNI


def test_a_server_that_nobody_reaches_is_said(fetch, private):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(InputUnavailable, match=r"fetched: no connection\.$"):
        fetch(f"http://127.0.0.1:{port}/a", trusted=())
