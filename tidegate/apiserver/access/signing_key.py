# SPDX-License-Identifier: Apache-2.0
"""The key that signs the tokens of service accounts, in one folder.

In: the folder, with `sa.key` (mode 0600; ECDSA P-256). Out: signed texts, verified claims, and the public key as a JSON
Web Key Set. A missing key is generated: tokens of an earlier key are invalid then. Called by: `tokens.py`.
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.types import Options

from tidegate.kit.files import write_whole
from tidegate.model.objects import Object

ALGORITHM = "ES256"
_FILE = "sa.key"
_LONGEST_TOKEN = 8192  # characters
_UNCHECKED: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
}
_log = structlog.get_logger("api")


class SigningKey:
    """One key pair, known by its id as in RFC 7638."""

    def __init__(self, folder: Path) -> None:
        self._key = _loaded(folder / _FILE)
        public: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        text = json.dumps({name: public[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
        self._id = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        self._public = {**public, "kid": self._id, "alg": ALGORITHM, "use": "sig"}

    @property
    def key_set(self) -> Object:
        """The public key, for programs that verify tokens themselves."""
        return {"keys": [self._public]}

    def sign(self, claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), self._key, ALGORITHM, headers={"kid": self._id})

    def claims(self, token: str) -> Mapping[str, Any] | None:
        """The claims of a token that this key has signed; None for any other text. Times are the caller's to check."""
        if len(token) > _LONGEST_TOKEN:
            return None
        try:
            return dict(jwt.decode(token, self._key.public_key(), [ALGORITHM], options=_UNCHECKED))
        except jwt.InvalidTokenError:
            return None


def _loaded(file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        found = serialization.load_pem_private_key(file.read_bytes(), None)
        if isinstance(found, ec.EllipticCurvePrivateKey) and isinstance(found.curve, ec.SECP256R1):
            return found
        _log.warning("the key of service account tokens is replaced: it has another type", file=str(file))
    except FileNotFoundError:
        pass
    except ValueError:
        _log.warning("the damaged key of service account tokens is replaced", file=str(file))
    fresh = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    write_whole(
        file, fresh.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain), durable=True
    )
    return fresh
