# SPDX-License-Identifier: Apache-2.0
"""The API server's identity: a certificate authority, a server certificate and the bearer token, kept in one folder.

In: the folder. Out: paths and texts for TLS and the kubeconfig. Files are made when absent; the certificate is made
anew when it is about to expire, names other hosts, or is not the authority's; the token stays as long as its file.
"""

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tidegate.kit.files import write_whole

HOSTS = ("localhost", "127.0.0.1", "::1")
_AUTHORITY_YEARS = 10
_SERVER_DAYS = 365
_RENEW_DAYS = 30
_YESTERDAY = timedelta(days=1)  # certificates begin then, for clocks that differ


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server needs to prove who it is, and what its clients need to be let in."""

    certificate: Path
    key: Path
    authority: str  # PEM
    token: str


def identity(folder: Path, now: datetime, hosts: Sequence[str] = HOSTS) -> Identity:
    """The identity kept in `folder` (mode 0700, files 0600), made or renewed where needed."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    token = folder / "token"
    if not token.exists():
        write_whole(token, secrets.token_urlsafe(32).encode())
    authority = _loaded(folder, "ca")
    if authority is None or _is_ending(authority[0], now):
        authority = _make_authority(folder, now)
    server = _loaded(folder, "server")
    if server is None or _is_ending(server[0], now) or not _fits(server[0], authority[0], hosts):
        _make_server(folder, authority, hosts, now)
    return Identity(
        certificate=folder / "server.crt",
        key=folder / "server.key",
        authority=(folder / "ca.crt").read_text(),
        token=token.read_text().strip(),
    )


Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _loaded(folder: Path, name: str) -> Pair | None:
    """A certificate and its key, or None where they are not there or of no use."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    return certificate, key


def _is_ending(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_after_utc - now < timedelta(days=_RENEW_DAYS)


def _fits(certificate: x509.Certificate, authority: x509.Certificate, hosts: Sequence[str]) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return list(names) == _names(hosts)


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _make_authority(folder: Path, now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"tidegate-ca-{secrets.token_hex(4)}")])
    certificate = (
        _builder(name, name, key, now, timedelta(days=365 * _AUTHORITY_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _keep(folder, "ca", certificate, key)
    return certificate, key


def _make_server(folder: Path, authority: Pair, hosts: Sequence[str], now: datetime) -> None:
    issuer, issuer_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tidegate")])
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    certificate = (
        _builder(name, issuer.subject, key, now, timedelta(days=_SERVER_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    _keep(folder, "server", certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, valid: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _YESTERDAY)
        .not_valid_after(now + valid)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _keep(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    write_whole(folder / f"{name}.key", key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    write_whole(folder / f"{name}.crt", certificate.public_bytes(pem))
