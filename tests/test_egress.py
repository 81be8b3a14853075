"""Which addresses the web side fetches: the table of reliability, B58 to B76."""

import httpx
import pytest

from jobs.lib import egress
from jobs.lib.egress import EgressRefused

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
    *("http://[4000::1]/", "http://[ff0e::1]/", "http://[2002:808:808::1]/"),
    *("http://[64:ff9b:1::1]/", "http://[::8.8.8.8]/", "http://192.0.0.9/"),
    *("http://[::ffff:10.1.2.3]/", "http://[64:ff9b::a01:203]/", "http://[::zz]/"),
    *("http://u:p@8.8.8.8/", "http://good@127.0.0.1/", "http://8.8.8.8:22/"),
    *("http://8.8.8.8:0/", "http://8.8.8.8:99999/", "http://8.8.8.8:6379/"),
    "http://8.8.8.8/" + "a" * 9000,
]


PUBLIC = [
    *("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "11.0.0.1"),
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


def test_addresses_of_the_open_internet_are_reached(monkeypatch):
    for address in PUBLIC:
        monkeypatch.setattr(egress, "resolve", lambda *_, one=address: [one])
        assert egress.public_address("https://a.example/") == address


@pytest.mark.parametrize("port", ["", ":80", ":443", ":8080", ":8443"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_ports_of_the_web_are_reached(scheme, port):
    egress.check(f"{scheme}://8.8.8.8{port}/")
    assert egress.public_address(f"{scheme}://8.8.8.8{port}/") == "8.8.8.8"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://[::1/", "it is not a valid URL"),
        ("http://8.8.8.8:x/", "it is not a valid URL"),
        ("ftp://8.8.8.8/", "only http:// and https:// addresses can be reached"),
        ("http:///x", "only http:// and https:// addresses can be reached"),
        ("http://u@8.8.8.8/", "addresses with a user name are not reached"),
        ("http://:p@8.8.8.8/", "addresses with a user name are not reached"),
        ("http://8.8.8.8\\x/", "addresses with a user name are not reached"),
        ("http://8.8.8.8/a b", "it contains spaces"),
        ("http://8.8.8.8/\u200b", "it contains spaces"),
        ("http://8.8.8.8:0/", "port 0 cannot be reached"),
        ("http://8.8.8.8:22/", "port 22 cannot be reached"),
        ("http://10.0.0.1/", "10.0.0.1 is a private address"),
    ],
)
def test_a_refusal_says_why_before_a_name_is_asked_for_and_after(url, why):
    for ask in (egress.check, egress.public_address):
        with pytest.raises(EgressRefused) as refused:
            ask(url)
        assert str(refused.value) == why


def test_an_address_may_be_4096_characters_long():
    egress.check("http://8.8.8.8/" + "a" * (4096 - 15))
    with pytest.raises(EgressRefused):
        egress.check("http://8.8.8.8/" + "a" * (4097 - 15))


def test_a_name_that_nobody_knows_is_refused():
    with pytest.raises(EgressRefused, match=r"there is no host called nobody\.invalid"):
        egress.public_address("http://nobody.invalid/")


def test_a_check_asks_for_no_name_but_this_machines_own():
    egress.check("http://nobody.invalid/")
    for name in ("localhost", "LOCALHOST", "localhost.", "x.localhost:8080"):
        with pytest.raises(EgressRefused):
            egress.check(f"http://{name}/")


# --- what the operator has opened -----------------------------------------------------
@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::1", True),
        ("fd00::1%eth0", True),
        ("10.2.0.1", False),
        ("fd01::1", False),
        ("169.254.169.254", False),
        ("::ffff:169.254.169.254", False),
        ("fe80::1%eth0", False),
    ],
)
def test_only_the_networks_that_the_operator_opened_are_reached(
    settings, monkeypatch, address, is_open
):
    opened = ["10.1.0.0/16", "fd00::/64", "169.254.0.0/16", "fe80::/10"]
    settings.JOBS_EGRESS_ALLOW = opened
    monkeypatch.setattr(egress, "resolve", lambda *_: [address])
    if is_open:
        assert egress.public_address("http://nas.example:5678/") == address
    else:
        with pytest.raises(EgressRefused):
            egress.public_address("http://nas.example/")


def test_a_name_may_be_public_and_in_an_opened_network_on_the_webs_ports(
    settings, monkeypatch
):
    settings.JOBS_EGRESS_ALLOW = ["10.1.0.0/16"]
    monkeypatch.setattr(egress, "resolve", lambda *_: ["8.8.8.8", "10.1.2.3"])
    assert egress.public_address("http://both.example/") == "8.8.8.8"
    with pytest.raises(EgressRefused, match="port 5678 cannot be reached"):
        egress.public_address("http://both.example:5678/")


def test_a_check_leaves_ports_open_where_the_operator_opened_a_network(settings):
    egress_port = "http://nobody.invalid:5678/"
    with pytest.raises(EgressRefused, match="port 5678"):
        egress.check(egress_port)
    settings.JOBS_EGRESS_ALLOW = ["10.1.0.0/16"]
    egress.check(egress_port)
    egress.check("http://10.1.2.3:5678/")
    with pytest.raises(EgressRefused, match="port 5678"):
        egress.check("http://10.2.2.3:5678/")
