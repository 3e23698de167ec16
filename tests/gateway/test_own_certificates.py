# SPDX-License-Identifier: Apache-2.0
"""The gateway's own certificates, with a client that trusts their authority."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.gateway.publisher.certificates import KeyPair
from tidegate.gateway.publisher.own_certificates import OwnCertificates

NOW = datetime.now(UTC)


def shake_hands(folder: Path, shown: KeyPair, host: str) -> None:
    """Between a server with that certificate, and a client of that host that trusts only the authority of the
    folder."""
    (folder / "shown.pem").write_bytes(shown.certificate + shown.key)
    client_context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(folder / "shown.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() is not None


@pytest.mark.parametrize(
    "host", ["hello.default.localhost", "new-hello.shop.localhost", "hello.example.test", "hello.test", "hello"]
)
def test_every_host_has_a_certificate(tmp_path: Path, host: str) -> None:
    shake_hands(tmp_path, OwnCertificates(tmp_path, NOW).of(host), host)


def test_neighbours_share_a_certificate_and_others_do_not(tmp_path: Path) -> None:
    own = OwnCertificates(tmp_path, NOW)

    assert own.of("hello.shop.localhost") == own.of("new-hello.shop.localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path, own.of("hello.shop.localhost"), "hello.default.localhost")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_the_addresses_of_this_machine_have_a_certificate(tmp_path: Path, address: str) -> None:
    shake_hands(tmp_path, OwnCertificates(tmp_path, NOW).default(), address)


def test_the_authority_is_private_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    first = OwnCertificates(folder, NOW).of("hello.default.localhost")
    kept = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "ca.key", folder / "ca.crt")]
    trusted = (folder / "ca.crt").read_bytes()

    again = OwnCertificates(folder, NOW + timedelta(minutes=1)).of("hello.default.localhost")

    assert kept == [0o700, 0o600, 0o600]
    assert (folder / "ca.crt").read_bytes() == trusted
    for each in (first, again):
        shake_hands(folder, each, "hello.default.localhost")
