"""Whom we trust at the other end of a TLS connection."""

import ssl
from functools import cache

import httpx


@cache
def context() -> ssl.SSLContext:
    """Return the context that all connections of this process share.

    Reading the certificates takes 20 ms of a core, which httpx spends for each client.
    An operator's own authorities are named by SSL_CERT_FILE or SSL_CERT_DIR.
    """
    return httpx.create_ssl_context()
