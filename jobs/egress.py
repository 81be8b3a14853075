"""The only way to an address that a user or a worker's output names.

Resolve once, judge every address, connect to the judged one; redirects are judged anew.
Python's `is_global` alone lets NAT64, 6to4, site-local and multicast through.
"""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

PORTS = {80, 443, 8080, 8443}
MAX_URL = 4096
MAX_REDIRECTS = 3
TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_REFUSED = [
    ipaddress.ip_network(text)
    for text in (
        "2002::/16",
        "64:ff9b:1::/48",
        "::/96",
        "fec0::/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
    )
]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class EgressRefused(Exception):
    """The address may not be fetched; the text says why, without naming secrets."""


@contextmanager
def get(
    url: str, transport: httpx.BaseTransport | None = None
) -> Iterator[httpx.Response]:
    """Open `url` for reading; its body has not been read yet.

    Raise `EgressRefused`, or httpx.HTTPError when the network fails.
    """
    with httpx.Client(
        timeout=TIMEOUT, trust_env=False, transport=transport, follow_redirects=False
    ) as client:
        for _ in range(MAX_REDIRECTS + 1):
            response = client.send(_request(client, url), stream=True)
            if not response.is_redirect:
                try:
                    yield response
                finally:
                    response.close()
                return
            response.close()
            url = str(httpx.URL(url).join(response.headers["location"]))
    raise EgressRefused("the address redirects too often")


def _request(client: httpx.Client, url: str) -> httpx.Request:
    """Build a request to the checked address, keeping host name and TLS name."""
    address, parsed = public_address(url), httpx.URL(url)
    return client.build_request(
        "GET",
        parsed.copy_with(host=address),
        headers={"Host": parsed.netloc.decode(), "Accept-Encoding": "identity"},
        extensions={"sni_hostname": parsed.host},
    )


def public_address(url: str) -> str:
    """Return the address to connect to for `url`, or raise `EgressRefused`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise EgressRefused("it is not a valid URL") from None
    if parts.scheme not in {"http", "https"} or not host or len(url) > MAX_URL:
        raise EgressRefused("only http:// and https:// addresses can be fetched")
    if parts.username or parts.password:
        raise EgressRefused("addresses with a user name are not fetched")
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    if port not in PORTS:
        raise EgressRefused(f"port {port} cannot be fetched from")
    addresses = resolve(host, port)
    if not all(map(is_public, addresses)):
        raise EgressRefused(f"{host} is a private address")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an address belongs to the open internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    if any(ip.version == net.version and ip in net for net in _REFUSED):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def resolve(host: str, port: int) -> list[str]:
    """Return every address of a host name; raise `EgressRefused` without one."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise EgressRefused(f"there is no host called {host}") from None
    return [str(entry[4][0]) for entry in found]
