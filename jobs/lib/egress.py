"""The only way to a URL that a user or a worker's output names.

Resolve once, check every address, connect to a checked one; redirects are checked
again. Python's `is_global` alone lets NAT64, 6to4, site-local and multicast addresses
through.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

import httpx

from jobs.lib import conf, tls

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
    """The URL may not be fetched; the text says why, without naming secrets."""


@contextmanager
def get(
    url: str, transport: httpx.BaseTransport | None = None
) -> Iterator[httpx.Response]:
    """Open `url` for reading; its body is not read yet.

    Raise `EgressRefused`, or httpx.HTTPError if the network fails.
    """
    with httpx.Client(
        timeout=TIMEOUT,
        trust_env=False,
        verify=tls.context(),
        transport=transport,
        follow_redirects=False,
    ) as client:
        for _ in range(MAX_REDIRECTS + 1):
            request = _request(client, "GET", url, public_address(url))
            response = client.send(request, stream=True)
            if not response.has_redirect_location:
                try:
                    yield response
                finally:
                    response.close()
                return
            response.close()
            url = str(httpx.URL(url).join(response.headers["location"]))
    raise EgressRefused("the address redirects too often")


@asynccontextmanager
async def post(
    url: str, content: bytes, headers: Mapping[str, str], timeout: httpx.Timeout
) -> AsyncIterator[httpx.Response]:
    """POST to `url`; redirects are not followed, the answer's body is not read yet.

    Raise `EgressRefused`, or httpx.HTTPError if the network fails.
    """
    address = await asyncio.to_thread(public_address, url)
    # Each connection belongs to one host name, so none is reused for another.
    async with httpx.AsyncClient(
        timeout=timeout, trust_env=False, verify=tls.context(), follow_redirects=False
    ) as client:
        request = _request(client, "POST", url, address, content, headers)
        response = await client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()


def _request(
    client: httpx.Client | httpx.AsyncClient,
    method: str,
    url: str,
    address: str,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Request:
    """Build a request to the checked address, keeping host name and TLS name."""
    parsed = httpx.URL(url)
    own_headers = {"Host": parsed.netloc.decode(), "Accept-Encoding": "identity"}
    return client.build_request(
        method,
        parsed.copy_with(host=address),
        content=content,
        headers={**(headers or {}), **own_headers},
        extensions={"sni_hostname": parsed.host},
    )


def check(url: str) -> None:
    """Raise `EgressRefused` for a URL that can be refused without a DNS lookup."""
    host, port = _parsed(url)
    if host.rstrip(".").lower().endswith("localhost"):
        _judge(host, port, resolve(host, port))
        return
    if port not in PORTS and not conf.EGRESS_ALLOW:
        raise EgressRefused(f"port {port} cannot be reached")
    with suppress(OSError, UnicodeError):
        entries = socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
        _judge(host, port, [str(entry[4][0]) for entry in entries])


def public_address(url: str) -> str:
    """Return the address to connect to for `url`, or raise `EgressRefused`."""
    host, port = _parsed(url)
    addresses = resolve(host, port)
    _judge(host, port, addresses)
    return addresses[0]


def _parsed(url: str) -> tuple[str, int]:
    """Return host and port, or raise `EgressRefused`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise EgressRefused("it is not a valid URL") from None
    if parts.scheme not in {"http", "https"} or not host or len(url) > MAX_URL:
        raise EgressRefused("only http:// and https:// addresses can be reached")
    if parts.username or parts.password or "\\" in url:
        raise EgressRefused("addresses with a user name are not reached")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise EgressRefused("it contains spaces")
    if port == 0:
        raise EgressRefused("port 0 cannot be reached")
    return host, port or (443 if parts.scheme == "https" else 80)


def _judge(host: str, port: int, addresses: list[str]) -> None:
    """Raise `EgressRefused` unless all addresses are public or in EGRESS_ALLOW."""
    if all(map(is_allowed, addresses)):
        return
    if port not in PORTS:
        raise EgressRefused(f"port {port} cannot be reached")
    if not all(is_public(one) or is_allowed(one) for one in addresses):
        raise EgressRefused(f"{host} is a private address")


def is_allowed(address: str) -> bool:
    """Whether the operator has allowed the network of an address (EGRESS_ALLOW).

    Link-local addresses are never allowed: clouds serve their machines' credentials
    there.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if ip.is_link_local:
        return False
    networks = map(ipaddress.ip_network, conf.EGRESS_ALLOW)
    return any(ip.version == net.version and ip in net for net in networks)


def is_public(address: str) -> bool:
    """Whether an address is on the public internet."""
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
    """Return every address of a host name; raise `EgressRefused` if there is none."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise EgressRefused(f"there is no host called {host}") from None
    return [str(entry[4][0]) for entry in entries]
