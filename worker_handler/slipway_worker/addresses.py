"""Which addresses a user may make this worker fetch: public ones only.

Resolve once, judge every address, connect to the judged one. Python's `is_global` alone
lets NAT64, 6to4, site-local and multicast through.
"""

import ipaddress
import os
import socket
from urllib.parse import urlsplit

from slipway_worker.errors import InputUnavailable

PORTS = {80, 443, 8080, 8443}
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


def public_address(url: str) -> str:
    """Return the address to connect to for `url`, or raise `InputUnavailable`.

    `WORKER_ALLOW_PRIVATE_URLS=1` lets private addresses through, for a closed network.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InputUnavailable("The address is not a valid URL.") from None
    if parts.scheme not in {"http", "https"} or not host or parts.username:
        raise InputUnavailable("Only http:// and https:// addresses can be fetched.")
    allows_private = os.environ.get("WORKER_ALLOW_PRIVATE_URLS") == "1"
    port = port or (443 if parts.scheme == "https" else 80)
    if not allows_private and port not in PORTS:
        raise InputUnavailable(f"Port {port} cannot be fetched from.")
    addresses = _resolve(host, port)
    if not allows_private and not all(map(is_public, addresses)):
        raise InputUnavailable(f"{host} is a private address and is not fetched.")
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


def _resolve(host: str, port: int) -> list[str]:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise InputUnavailable(f"There is no host called {host}.") from None
    return [str(entry[4][0]) for entry in entries]
