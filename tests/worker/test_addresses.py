"""Which addresses a worker fetches for a user."""

import pytest

from jobs.lib import egress
from slipway_worker.addresses import is_public, public_address
from slipway_worker.errors import InputUnavailable


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", "::", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1"]
    + ["169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1"]
    + [
        "240.0.0.1",
        "255.255.255.255",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%lo",
        "fc00::1",
    ]
    + ["ff02::1", "fec0::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"]
    + ["2002:7f00:1::", "192.88.99.1", "64:ff9b:1::1"],
)
def test_no_private_address_passes(address):
    assert not is_public(address)
    assert not egress.is_public(address)  # the web side judges alike


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::808:808"]
)
def test_public_addresses_pass(address):
    assert is_public(address)
    assert egress.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a.example/x",
        "gopher://x/",
        "data:text/plain,x",
        "//x/y",
    ]
    + ["http://127.0.0.1/", "http://localhost/", "http://2130706433/", "http://0x7f.1/"]
    + [
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
    ]
    + ["http://user:pw@93.184.216.34/", "http://93.184.216.34:6379/", "http:///x"]
    + ["http://93.184.216.34:99999/", "http://good@127.0.0.1/", "javascript:alert(1)"],
)
def test_no_trick_reaches_a_private_place(url):
    with pytest.raises(InputUnavailable):
        public_address(url)
