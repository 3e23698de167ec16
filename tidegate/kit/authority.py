# SPDX-License-Identifier: Apache-2.0
"""A private certificate authority in a folder, and the certificates that it signs.

In: the folder, and the names to certify. Out: certificates for servers; clients that trust `ca.crt` accept them. Called
by: the API server for itself, the gateway for the hosts that bring none.
"""

import ipaddress
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tidegate.kit.files import write_whole

_VALID = timedelta(days=365 * 10)
_RENEWED = timedelta(days=30)  # before its end
_YESTERDAY = timedelta(days=1)  # certificates begin then, for clocks that differ


class Certified(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, folder: Path, name: str) -> Self | None:
        """The pair that `keep` wrote; None if it is missing or invalid."""
        try:
            certificate = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
            key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
        except (OSError, ValueError):
            return None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
            return None
        return cls(certificate, key)

    def keep(self, folder: Path, name: str) -> None:
        """Write NAME.crt and NAME.key, with mode 0600."""
        write_whole(folder / f"{name}.key", self.key_pem, durable=True)
        write_whole(folder / f"{name}.crt", self.certificate_pem, durable=True)

    def is_ending(self, now: datetime) -> bool:
        return self.certificate.not_valid_after_utc - now < _RENEWED

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        plain = serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


class AuthorityError(Exception):
    """The files of an authority are damaged; the message is one line, with what to do."""


class Authority:
    """The authority of a folder (mode 0700). It is created if there is none, and again shortly before it expires.
    Raises `AuthorityError` if its files are damaged: clients trust it, so only the user may replace it."""

    def __init__(self, folder: Path, now: datetime) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        kept = Certified.load(folder, "ca")
        if kept is None and (folder / "ca.crt").exists():
            raise AuthorityError(
                f"the certificate authority in {folder} (ca.crt, ca.key) is damaged: restore both files, or remove "
                "ca.crt for a new authority, which clients then have to trust"
            )
        if kept is None or kept.is_ending(now):
            kept = _make(now)
            kept.keep(folder, "ca")
        self._own = kept

    @property
    def pem(self) -> bytes:
        """The certificate that clients must trust."""
        return self._own.certificate_pem

    def certify(self, common_name: str, hosts: Sequence[str], now: datetime, valid: timedelta) -> Certified:
        """A certificate for a server with these names and addresses, with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._own.key.public_key())
        certificate = (
            _builder(_named(common_name), self._own.certificate.subject, key, now, valid)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
            .add_extension(issuer_id, critical=False)
            .sign(self._own.key, hashes.SHA256())
        )
        return Certified(certificate, key)

    def certified(self, certificate: x509.Certificate, hosts: Sequence[str]) -> bool:
        """Whether this authority signed it, for exactly these names."""
        try:
            certificate.verify_directly_issued_by(self._own.certificate)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        return list(names) == _names(hosts)


def _make(now: datetime) -> Certified:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"tidegate-ca-{secrets.token_hex(4)}")
    certificate = (
        _builder(name, name, key, now, _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certified(certificate, key)


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


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


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
