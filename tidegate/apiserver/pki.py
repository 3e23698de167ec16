# SPDX-License-Identifier: Apache-2.0
"""The API server's identity: a certificate authority, a server certificate and the bearer token, kept in one folder.

In: the folder. Out: paths and texts for TLS and the kubeconfig. Files are made when absent; the certificate is made
anew when it is about to expire, names other hosts, or is not the authority's; the token stays as long as its file.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tidegate.kit.authority import Authority, Certified
from tidegate.kit.files import write_whole

HOSTS = ("localhost", "127.0.0.1", "::1")
_VALID = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server needs to prove who it is, and what its clients need to be let in."""

    certificate: Path
    key: Path
    authority: str  # PEM
    token: str


def identity(folder: Path, now: datetime, hosts: Sequence[str] = HOSTS) -> Identity:
    """The identity kept in `folder` (mode 0700, files 0600), made or renewed where needed."""
    authority = Authority(folder, now)
    token = folder / "token"
    if not token.exists():
        write_whole(token, secrets.token_urlsafe(32).encode())
    server = Certified.load(folder, "server")
    if server is None or server.is_ending(now) or not authority.certified(server.certificate, hosts):
        authority.certify("tidegate", hosts, now, _VALID).keep(folder, "server")
    return Identity(
        certificate=folder / "server.crt",
        key=folder / "server.key",
        authority=authority.pem.decode(),
        token=token.read_text().strip(),
    )
