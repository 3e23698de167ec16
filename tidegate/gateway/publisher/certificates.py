# SPDX-License-Identifier: Apache-2.0
"""Certificates that users provide: Secrets of the type kubernetes.io/tls, checked before Envoy gets them.

In: a Secret. Out: its certificate and key as PEM, or a sentence that describes the problem. Pure. Called by:
`host_certificates.py`.
"""

import binascii
from base64 import b64decode
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tidegate.model.objects import Key, Object


class KeyPair(NamedTuple):
    """PEM: a certificate followed by the certificates that signed it, and its private key."""

    certificate: bytes
    key: bytes


def key_pair(name: Key, secret: Object | None) -> KeyPair | str:
    """The key pair in the Secret of that name, or why the Secret cannot be used."""
    if secret is None:
        return f'Secret "{name}" does not exist.'
    data = secret.get("data") or {}
    missing = [field for field in ("tls.crt", "tls.key") if field not in data]
    if missing:
        return f'Secret "{name}" has no {" and no ".join(missing)}.'
    try:
        found = KeyPair(b64decode(data["tls.crt"]), b64decode(data["tls.key"]))
        chain = x509.load_pem_x509_certificates(found.certificate)
        key = serialization.load_pem_private_key(found.key, None)
    except (binascii.Error, ValueError, TypeError) as error:
        return f'Secret "{name}" has no usable certificate: {error}'
    if chain[0].public_key() != key.public_key():
        return f'Secret "{name}" has a key that does not belong to its certificate.'
    return found
