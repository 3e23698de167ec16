# SPDX-License-Identifier: Apache-2.0
"""The gateway's own certificates, for HTTPS without anybody's help: clients have to be told to trust their authority.

In: a folder for the authority, and the hosts that bring no certificate. Out: certificates as PEM. Who: `publish.py`,
`listeners.py`.
"""

from datetime import datetime, timedelta
from pathlib import Path

from tidegate.gateway.certificates import Pair
from tidegate.kit.authority import Authority

_VALID = timedelta(days=825)  # no client takes one that is valid for longer
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class OwnCertificates:
    """Those of one start, signed by the authority of all: `ca.crt` in its folder."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._authority = Authority(folder, now)
        self._now = now
        self._made: dict[str, Pair] = {}  # by the first of the names that one is for

    def nameless(self) -> Pair:
        """For clients that do not say which host they want, as those that connect to an address."""
        return self._of(*_THIS_MACHINE)

    def of(self, host: str) -> Pair:
        """For a host. It shares one with its neighbours: a wildcard stands for one label, so in NAME.NAMESPACE.DOMAIN
        there is one for each namespace. Clients take no wildcard right below the top."""
        parent = host.partition(".")[2]
        return self._of(f"*.{parent}" if "." in parent else host)

    def _of(self, *names: str) -> Pair:
        if names[0] not in self._made:
            made = self._authority.certify("tidegate gateway", names, self._now, _VALID)
            self._made[names[0]] = Pair(made.certificate_pem, made.key_pem)
        return self._made[names[0]]
