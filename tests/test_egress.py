"""Which addresses the web side fetches: the table of reliability, B58 to B76."""

import httpx
import pytest

from jobs import egress
from jobs.egress import EgressRefused

REFUSED = [
    *("file:///etc/passwd", "gopher://x/", "ftp://x/", "data:text/plain,x", "unix:/x"),
    *("javascript:1", "http:///x", "http:h", "//x", "http://", " http://x/"),
    *("http://127.0.0.1/", "http://localhost/", "http://LOCALHOST/", "http://0/"),
    *("http://0.0.0.0/", "http://[::]/", "http://[::1]/", "http://2130706433/"),
    *("http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/"),
    *("http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "http://10.0.0.1/"),
    *("http://100.100.100.200/", "http://172.16.0.1/", "http://192.168.1.1/"),
    *("http://100.64.0.1/", "http://192.0.0.1/", "http://198.18.0.1/"),
    *("http://224.0.0.1/", "http://240.0.0.1/", "http://255.255.255.255/"),
    *("http://[::ffff:127.0.0.1]/", "http://[::127.0.0.1]/", "http://[fec0::1]/"),
    *("http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fe80::1]/"),
    *("http://[fc00::1]/", "http://[ff02::1]/", "http://192.88.99.1/"),
    *("http://u:p@8.8.8.8/", "http://good@127.0.0.1/", "http://8.8.8.8:22/"),
    *("http://8.8.8.8:0/", "http://8.8.8.8:99999/", "http://8.8.8.8:6379/"),
    "http://8.8.8.8/" + "a" * 9000,
]


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_not_a_public_web_address_is_refused(url):
    with pytest.raises(EgressRefused):
        egress.public_address(url)


def test_a_name_with_one_private_address_is_refused(monkeypatch):
    monkeypatch.setattr(egress, "resolve", lambda *_: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(EgressRefused):
        egress.public_address("http://rebind.example/")


def test_the_judged_address_is_the_one_connected_to(monkeypatch):
    """Resolving again, a hostile name server would answer differently."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    monkeypatch.setattr(egress, "resolve", lambda *_: next(answers))
    asked = []

    def answer(request):
        asked.append((request.url.host, request.headers["host"]))
        return httpx.Response(200, content=b"x")

    with egress.get("http://rebind.example/a", httpx.MockTransport(answer)) as response:
        assert response.read() == b"x"
    assert asked == [("93.184.216.34", "rebind.example")]


@pytest.mark.parametrize("to", ["http://127.0.0.1/", "file:///etc/passwd"])
def test_a_redirect_is_judged_like_an_address(monkeypatch, to):
    monkeypatch.setattr(
        egress, "resolve", lambda host, _: ["8.8.8.8" if host == "a.example" else host]
    )
    transport = httpx.MockTransport(
        lambda _: httpx.Response(302, headers={"Location": to})
    )
    with pytest.raises(EgressRefused), egress.get("http://a.example/", transport):
        pass


def test_redirects_are_followed_three_times(monkeypatch):
    monkeypatch.setattr(egress, "resolve", lambda *_: ["8.8.8.8"])
    transport = httpx.MockTransport(
        lambda r: httpx.Response(302, headers={"Location": f"{r.url.path}x"})
    )
    with (
        pytest.raises(EgressRefused, match="too often"),
        egress.get("http://a.example/", transport),
    ):
        pass
