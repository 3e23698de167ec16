# SPDX-License-Identifier: Apache-2.0
"""Which Ingress owns each host, so that no two Ingresses serve the same host. Called by: `routes.py`."""

from tidegate.model.objects import Key


class HostOwners:
    """The first Ingress that claims a host owns the host until it releases it."""

    def __init__(self) -> None:
        self._owners: dict[str, Key] = {}
        self._waiting: dict[str, set[Key]] = {}  # host -> other Ingresses that claimed it

    def claim(self, host: str, ingress: Key) -> bool:
        """Return whether the Ingress owns the host now. If not, `release` will name the Ingress."""
        owner = self._owners.setdefault(host, ingress)
        if owner != ingress:
            self._waiting.setdefault(host, set()).add(ingress)
        return owner == ingress

    def release(self, host: str) -> set[Key]:
        """The owner no longer wants the host. Return the Ingresses that may claim the host now."""
        owner = self._owners.pop(host)
        return self._waiting.pop(host, set()) - {owner}

    def owner(self, host: str) -> Key | None:
        return self._owners.get(host)
