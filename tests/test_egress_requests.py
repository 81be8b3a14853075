"""How the web side asks an address that it may reach: what it sends, what it follows."""

import asyncio

import httpx
import pytest

from jobs.lib import egress
from jobs.lib.egress import EgressRefused

TIMEOUT = httpx.Timeout(60)


@pytest.fixture(autouse=True)
def _names(monkeypatch):
    """Every name but a number is a public address."""
    monkeypatch.setattr(
        egress, "resolve", lambda host, _: ["8.8.8.8" if host[0] > "9" else host]
    )


@pytest.fixture
def near(settings):
    """Open this machine."""
    settings.JOBS_EGRESS_ALLOW = ["127.0.0.0/8"]


class Site:
    """Answers requests from a list, the last for ever; keeps what was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, request):
        self.asked.append(request)
        status, headers = (
            self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        )
        return httpx.Response(status, headers=headers, content=b"x")

    def get(self, url):
        with egress.get(url, httpx.MockTransport(self)) as response:
            return response.status_code, response.read()


def posted(url, headers=None):
    async def post():
        async with egress.post(url, b"body", headers or {}, TIMEOUT) as response:
            return response.status_code, await response.aread()

    return asyncio.run(post())


def test_name_port_and_tls_name_are_kept_when_the_address_is_asked():
    site = Site((200, {}))
    assert site.get("https://a.example:8443/b?c=d") == (200, b"x")
    (request,) = site.asked
    assert str(request.url) == "https://8.8.8.8:8443/b?c=d"
    assert request.method == "GET"
    assert request.headers["Host"] == "a.example:8443"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.extensions["sni_hostname"] == "a.example"


def test_three_redirects_are_followed_to_their_end():
    again = (302, {"Location": "next"})
    site = Site(again, (307, {"Location": "//b.example/x"}), again, (200, {}))
    assert site.get("http://a.example/dir/first") == (200, b"x")
    assert [(one.headers["Host"], one.url.path) for one in site.asked] == [
        ("a.example", "/dir/first"),
        ("a.example", "/dir/next"),
        ("b.example", "/x"),
        ("b.example", "/next"),
    ]


def test_the_fourth_redirect_is_not_followed():
    site = Site((302, {"Location": "/again"}))
    with pytest.raises(EgressRefused, match="the address redirects too often"):
        site.get("http://a.example/")
    assert len(site.asked) == 4


@pytest.mark.parametrize("status", [300, 304, 404, 500])
def test_an_answer_that_leads_nowhere_is_the_answer(status):
    assert Site((status, {})).get("http://a.example/") == (status, b"x")


@pytest.mark.parametrize(
    "to", ["http://[::zz]/", "http://[::1", "http://b:x/", "/\x01"]
)
def test_a_redirect_to_no_address_is_refused(to):
    with pytest.raises((EgressRefused, httpx.HTTPError)):
        Site((302, {"Location": to})).get("http://a.example/")


def test_an_answer_is_closed_after_use(receiver, near):
    with egress.get(receiver().url) as response:
        assert not response.is_closed
    assert response.is_closed


def test_a_message_is_posted_with_its_headers_but_its_own_host(receiver, near):
    server = receiver()
    given = {"X-Note": "hi", "Host": "evil.example", "Accept-Encoding": "br"}
    assert posted(server.url, given) == (200, b"thanks")
    ((headers, body),) = server.got
    assert body == b"body"
    assert headers["X-Note"] == "hi"
    assert f"http://{headers['Host']}/hook" == server.url
    assert headers["Accept-Encoding"] == "identity"


def test_a_message_follows_no_redirect(receiver, near):
    other = receiver()
    server = receiver((307, {"Location": other.url}, b""))
    assert posted(server.url) == (307, b"")
    assert other.got == []


def test_the_proxies_of_the_environment_are_not_used(receiver, near, monkeypatch):
    proxy, server = receiver(), receiver()
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    posted(server.url)
    with egress.get(server.url) as response:
        assert response.read() == b"thanks"
    assert (len(server.got), proxy.got) == (2, [])


def test_nothing_is_sent_to_a_private_address(receiver):
    server = receiver()
    with pytest.raises(EgressRefused):
        posted(server.url)
    with pytest.raises(EgressRefused), egress.get(server.url):
        pass
    assert server.got == []
