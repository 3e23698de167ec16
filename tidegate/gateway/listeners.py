# SPDX-License-Identifier: Apache-2.0
"""Where requests come in: the gateways' listeners, with whatever they show and tell.

In: the addresses, once; where requests are told of, and which certificates each Ingress shows, as that changes. Out:
the listeners in the snapshot. Who: `publish.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tidegate.model.objects import Key
from tidegate.xds import listener
from tidegate.xds.resource import packed
from tidegate.xds.snapshot import Snapshot
from tidegate.xds.tracing import COLLECTOR, Tracing, build_collector

_GATEWAY = Key("", "gateway")


class Listener(NamedTuple):
    """One address. `inside`: for apps, which reach the hosts of neighbours there too."""

    name: str
    address: str
    port: int
    tls: listener.Tls | None = None
    inside: bool = False


class Listeners:
    """All of them, kept in the snapshot as they are to be."""

    def __init__(self, snapshot: Snapshot, listeners: Sequence[Listener], gate_socket: Path) -> None:
        self._snapshot = snapshot
        self._listeners = listeners
        self._gate_socket = gate_socket
        self._shown: dict[Key, Sequence[listener.Shown]] = {}  # certificates by Ingress

    @property
    def show_certificates(self) -> bool:
        """Whether there is anybody to show one to."""
        return any(each.tls is not None for each in self._listeners)

    def observe(self, access_log: Path | None, tracing: Tracing | None) -> None:
        """From now on requests are told of there: in that file, to that collector, None for neither. A collector
        that is used no more stays known to Envoy, whose connections may still go by the listeners of before."""
        self._watched = listener.Watched(self._gate_socket, access_log, tracing)
        if tracing is not None:
            self._snapshot.put(packed(COLLECTOR, _GATEWAY, build_collector(tracing)))
        self._put()

    def show(self, ingress: Key, shown: Sequence[listener.Shown]) -> None:
        """From now on these are the certificates of that Ingress."""
        before = self._shown.pop(ingress, ())
        if shown:
            self._shown[ingress] = shown
        if before != shown:
            self._put()

    def _put(self) -> None:
        shown = [each for _, of_ingress in sorted(self._shown.items()) for each in of_ingress]
        needs = frozenset({COLLECTOR} if self._watched.tracing is not None else ())
        for each in self._listeners:
            certificates = shown if each.tls is not None else ()
            message = listener.build_listener(
                each.name, each.address, each.port, self._watched, each.tls, certificates, inside=each.inside
            )
            self._snapshot.put(packed(each.name, _GATEWAY, message, needs))
