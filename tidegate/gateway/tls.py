# SPDX-License-Identifier: Apache-2.0
"""The gateway's own certificate, for HTTPS without anybody's help: clients have to be told to trust it, or not to ask.

In: a folder, the domain, and the namespaces whose hosts it is for. Out: the PEM files for the HTTPS listener, made when
absent, about to expire, or for other names. Who: `app.py`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tidegate.kit.files import write_whole
from tidegate.xds.listener import Tls

_VALID = timedelta(days=825)  # no client takes one that is valid for longer
_RENEWED = timedelta(days=30)  # before its end
_YESTERDAY = timedelta(days=1)  # it begins then, for clocks that differ


def certificate(folder: Path, now: datetime, domain: str, namespaces: Iterable[str] = ("default",)) -> Tls:
    """The certificate kept in `folder` (mode 0700, files 0600).

    A wildcard stands for one label only, and a host is NAME.NAMESPACE.DOMAIN: so there is one for each namespace, and
    one for hosts right below the domain, which a domain template of the operator's may give.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    names = [domain, f"*.{domain}", *(f"*.{namespace}.{domain}" for namespace in namespaces)]
    files = Tls(certificate=folder / "gateway.crt", key=folder / "gateway.key")
    if not _serves(files, names, now):
        _make(files, names, now)
    return files


def _serves(files: Tls, names: list[str], now: datetime) -> bool:
    try:
        kept = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        for_names = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    is_for = for_names.get_values_for_type(x509.DNSName) == names
    return is_for and kept.public_key() == key.public_key() and kept.not_valid_after_utc - now > _RENEWED


def _make(files: Tls, names: list[str], now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tidegate gateway")])
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _YESTERDAY)
        .not_valid_after(now - _YESTERDAY + _VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(alternatives, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    write_whole(files.key, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    write_whole(files.certificate, made.public_bytes(pem))
