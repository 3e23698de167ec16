# SPDX-License-Identifier: Apache-2.0
"""Certificates that users bring: Secrets of the type kubernetes.io/tls, checked before Envoy sees them.

In: a Secret. Out: its certificate and key as PEM, or a sentence that says what is wrong. Pure; who: `publish.py`.
"""

import binascii
from base64 import b64decode
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tidegate.model.objects import Key, Object


class Pair(NamedTuple):
    """PEM: the certificate with those that signed it, and its key."""

    certificate: bytes
    key: bytes


def pair(name: Key, secret: Object | None) -> Pair | str:
    """What is in the Secret of that name, or why it cannot be used."""
    if secret is None:
        return f'Secret "{name}" does not exist.'
    data = secret.get("data") or {}
    missing = [field for field in ("tls.crt", "tls.key") if field not in data]
    if missing:
        return f'Secret "{name}" has no {" and no ".join(missing)}.'
    try:
        found = Pair(b64decode(data["tls.crt"]), b64decode(data["tls.key"]))
        chain = x509.load_pem_x509_certificates(found.certificate)
        key = serialization.load_pem_private_key(found.key, None)
    except (binascii.Error, ValueError, TypeError) as error:
        return f'Secret "{name}" has no usable certificate: {error}'
    if chain[0].public_key() != key.public_key():
        return f'Secret "{name}" has a key that is not that of its certificate.'
    return found
