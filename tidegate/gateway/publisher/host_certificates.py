# SPDX-License-Identifier: Apache-2.0
"""Chooses the certificate of each public host: the Secret that the Ingress names, else one of the gateway's own.

In: the informer of Secrets, and an Ingress's `Routing`. Out: key pairs, and why a Secret cannot be used. Called by:
`routes.py`.
"""

from tidegate.client.informer import Informer
from tidegate.gateway.publisher.certificates import KeyPair, key_pair
from tidegate.gateway.publisher.own_certificates import OwnCertificates
from tidegate.routing.table import Certificate, Routing


class HostCertificates:
    """`own`: the certificates of hosts without a usable Secret."""

    def __init__(self, secrets: Informer, own: OwnCertificates) -> None:
        self._secrets = secrets
        self._own = own

    def of(self, host: str, routing: Routing) -> KeyPair:
        """The certificate for one host of that Ingress. The first entry that names the host counts."""
        entry = next((each for each in routing.certificates if host in each.hosts), None)
        found = self._find(entry) if entry is not None else ""
        return found if isinstance(found, KeyPair) else self._own.of(host)

    def problem(self, routing: Routing) -> str:
        """Why the first unusable Secret of that Ingress cannot be used; "" if all can."""
        found = map(self._find, routing.certificates)
        return next((each for each in found if isinstance(each, str)), "")

    def _find(self, entry: Certificate) -> KeyPair | str:
        return key_pair(entry.secret, self._secrets.get(entry.secret))
