# SPDX-License-Identifier: Apache-2.0
"""The API server's identity: a certificate authority, a server certificate and the bearer token, in one folder.

In: the folder, and the token in the kubeconfig. Out: paths and texts for TLS and the kubeconfig.

| file | missing | damaged |
| --- | --- | --- |
| ca.crt, ca.key | generated | an error, because clients trust them |
| server.crt, server.key | generated | generated |
| token | generated | taken from the kubeconfig; else generated, and copies of the kubeconfig become invalid |

A server certificate is also replaced if it is about to expire, has other hosts, or another authority signed it.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from tidegate.kit.authority import Authority, Certified
from tidegate.kit.files import write_whole

HOSTS = ("localhost", "127.0.0.1", "::1")
_VALID = timedelta(days=365)
_TOKEN = re.compile(r"[!-~]+")
_log = structlog.get_logger("api")


@dataclass(frozen=True, slots=True)
class Identity:
    """The certificate of the server, and the authority and token that its clients need."""

    certificate: Path
    key: Path
    authority: str  # PEM
    token: str


def identity(folder: Path, now: datetime, hosts: Sequence[str] = HOSTS, *, known: str = "") -> Identity:
    """The identity in `folder` (mode 0700, files 0600), generated or renewed if needed. `known`: the token that clients
    have. Raises `AuthorityError`."""
    authority = Authority(folder, now)
    server = Certified.load(folder, "server")
    if server is None or server.is_ending(now) or not authority.certified(server.certificate, hosts):
        authority.certify("tidegate", hosts, now, _VALID).keep(folder, "server")
    return Identity(
        certificate=folder / "server.crt",
        key=folder / "server.key",
        authority=authority.pem.decode(),
        token=_token(folder / "token", known),
    )


def _token(file: Path, known: str) -> str:
    found = file.read_text(errors="replace").strip() if file.exists() else None
    if found is not None and _TOKEN.fullmatch(found):
        return found
    token = known if _TOKEN.fullmatch(known) else secrets.token_urlsafe(32)
    if found is not None:
        source = "restored from the kubeconfig" if token == known else "replaced, copies of the kubeconfig are invalid"
        _log.warning(f"damaged token {source}", file=str(file))
    write_whole(file, token.encode(), durable=True)
    return token
