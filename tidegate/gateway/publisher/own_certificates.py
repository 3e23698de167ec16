# SPDX-License-Identifier: Apache-2.0
"""The gateway's own certificates: HTTPS for hosts without a Secret. Clients have to trust the authority.

In: a folder for the authority, and the hosts. Out: certificates and keys as PEM. Called by: `host_certificates.py` and
`listeners.py`.
"""

from datetime import datetime, timedelta
from pathlib import Path

from tidegate.gateway.publisher.certificates import KeyPair
from tidegate.kit.authority import Authority

_VALIDITY = timedelta(days=825)  # clients reject certificates that are valid for longer
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class OwnCertificates:
    """The certificates of one start. The authority (`ca.crt` in its folder) signs the certificates of every start."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._authority = Authority(folder, now)
        self._now = now
        self._issued: dict[str, KeyPair] = {}  # by the first name of each certificate

    def default(self) -> KeyPair:
        """The certificate for clients that name no host, e.g. clients that connect to an address."""
        return self._certificate(*_THIS_MACHINE)

    def of(self, host: str) -> KeyPair:
        """The certificate of a host. Hosts that differ only in their first label share a wildcard certificate, so there
        is one for each namespace of NAME.NAMESPACE.DOMAIN. Clients accept no wildcard directly below a top-level
        domain, so such a host has a certificate of its own."""
        parent = host.partition(".")[2]
        return self._certificate(f"*.{parent}" if "." in parent else host)

    def _certificate(self, *names: str) -> KeyPair:
        if names[0] not in self._issued:
            issued = self._authority.certify("tidegate gateway", names, self._now, _VALIDITY)
            self._issued[names[0]] = KeyPair(issued.certificate_pem, issued.key_pem)
        return self._issued[names[0]]
