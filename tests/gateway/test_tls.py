# SPDX-License-Identifier: Apache-2.0
"""The gateway's own certificate, as a client that trusts it sees it."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.gateway import tls
from tidegate.xds.listener import Tls

NOW = datetime.now(UTC)


def shake_hands(files: Tls, host: str) -> None:
    """Between a server with that certificate and a client that trusts just it and asks for that host."""
    client_context = ssl.create_default_context(cafile=str(files.certificate))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(files.certificate, files.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() is not None


@pytest.mark.parametrize("host", ["hello.default.example.test", "new-hello.default.example.test", "hello.example.test"])
def test_hosts_of_the_domain_are_its(tmp_path: Path, host: str) -> None:
    shake_hands(tls.certificate(tmp_path / "tls", NOW, "example.test"), host)


def test_hosts_of_other_namespaces_are_not_unless_listed(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tls.certificate(tmp_path, NOW, "example.test"), "hello.shop.example.test")
    shake_hands(tls.certificate(tmp_path, NOW, "example.test", ["default", "shop"]), "hello.shop.example.test")


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    files = tls.certificate(tmp_path / "tls", NOW, "localhost")

    assert [stat.S_IMODE(path.stat().st_mode) for path in (files.key.parent, files.key, files.certificate)] == [
        *(0o700, 0o600, 0o600)
    ]


def test_it_stays_until_it_is_of_no_more_use(tmp_path: Path) -> None:
    def made(now: datetime = NOW, domain: str = "localhost") -> bytes:
        return tls.certificate(tmp_path, now, domain).certificate.read_bytes()

    first = made()
    assert made(NOW + timedelta(days=700)) == first
    assert made(NOW + timedelta(days=800)) != first
    second = made()
    assert made(domain="example.test") != second
    third = made(domain="example.test")
    (tmp_path / "gateway.key").write_text("rubbish")
    assert made(domain="example.test") != third
