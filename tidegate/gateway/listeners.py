# SPDX-License-Identifier: Apache-2.0
"""Where requests come in: the gateways' listeners, what they take from clients, and where they tell of requests.

In: the addresses, once; the other two, as they change. Out: the listeners in the snapshot, and the certificate for
clients that name no host. Who: `publish.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tidegate.gateway.certificates import Pair
from tidegate.model.config.gateway import GatewayConfig
from tidegate.model.objects import Key
from tidegate.xds import listener, mirror
from tidegate.xds.resource import packed
from tidegate.xds.snapshot import Snapshot
from tidegate.xds.tracing import COLLECTOR, Tracing, build_collector

_GATEWAY = Key("", "gateway")


class Listener(NamedTuple):
    """One port. `inside`: for apps, which reach the hosts of neighbours there too."""

    name: str
    addresses: tuple[str, ...]
    port: int
    tls: bool = False
    inside: bool = False


class Listeners:
    """All of them, kept in the snapshot as they are to be."""

    def __init__(
        self, snapshot: Snapshot, listeners: Sequence[Listener], gate_socket: Path, nameless: Pair | None
    ) -> None:
        self._snapshot = snapshot
        self._listeners = listeners
        self._gate_socket = gate_socket
        if nameless is not None:
            snapshot.put(packed(listener.NO_NAME, _GATEWAY, listener.build_secret(listener.NO_NAME, *nameless)))

    def configure(self, access_log: Path | None, tracing: Tracing | None, taken: GatewayConfig) -> None:
        """From now on requests are told of there: in that file, to that collector, None for neither; and `taken` is
        what is taken from clients. A collector that is used no more stays known to Envoy, whose connections may still
        go by the listeners of before."""
        self.taken = taken
        self._telemetry = listener.Telemetry(self._gate_socket, access_log, tracing)
        if tracing is not None:
            self._snapshot.put(packed(COLLECTOR, _GATEWAY, build_collector(tracing)))
        self._put()

    def _put(self) -> None:
        needs = frozenset({COLLECTOR} if self._telemetry.tracing is not None else ())
        copies = mirror.build_mirror_listener(self._gate_socket, self._telemetry.access_log)
        self._snapshot.put(packed(mirror.MIRROR, _GATEWAY, mirror.build_mirror_cluster()))
        self._snapshot.put(packed(mirror.MIRROR, _GATEWAY, copies))
        for each in self._listeners:
            message = listener.build_listener(
                each.name, each.addresses, each.port, self._telemetry, self.taken, tls=each.tls, inside=each.inside
            )
            self._snapshot.put(packed(each.name, _GATEWAY, message, needs))
