"""Whom we trust at the other end of a TLS connection."""

from pathlib import Path

import certifi

from jobs.lib import tls


def test_all_connections_share_one_context():
    assert tls.context() is tls.context()


def test_an_operators_own_authority_is_trusted(monkeypatch, tmp_path):
    end = "-----END CERTIFICATE-----\n"
    first = Path(certifi.where()).read_text().split(end)[0] + end
    (tmp_path / "authority.pem").write_text(first)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    assert len(tls.context.__wrapped__().get_ca_certs()) == 1
