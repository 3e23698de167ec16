# SPDX-License-Identifier: Apache-2.0
"""Publishes the listeners: on which ports the gateways take requests, with which rules, and what they record of them.

In: the ports, fixed at the start, and settings that may change. Out: the listeners in the snapshot, the cluster of the
trace collector, and the certificate for clients that name no host. Called by: `publisher.py`, `gateway/gateway.py`.
"""

from dataclasses import dataclass

from tidegate.gateway.publisher.own_certificates import OwnCertificates
from tidegate.model.config.gateway import GatewayConfig
from tidegate.model.objects import Key
from tidegate.xds import listener, mirror
from tidegate.xds.listener import EntryPoint, Telemetry
from tidegate.xds.resource import packed
from tidegate.xds.snapshot import Snapshot
from tidegate.xds.tracing import COLLECTOR, build_collector

_OWNER = Key("", "gateway")


@dataclass(frozen=True, slots=True)
class EntryPoints:
    """Where requests come in. `https_port`: the target of redirects. `certificates`: None for no HTTPS."""

    ports: tuple[EntryPoint, ...]
    https_port: int
    certificates: OwnCertificates | None = None


class Listeners:
    """The listeners in the snapshot."""

    def __init__(self, snapshot: Snapshot, entry_points: EntryPoints, telemetry: Telemetry) -> None:
        self._snapshot = snapshot
        self._entry_points = entry_points.ports
        if entry_points.certificates is not None:
            secret = listener.build_secret(listener.NO_NAME, *entry_points.certificates.default())
            snapshot.put(packed(listener.NO_NAME, _OWNER, secret))
        self.configure(telemetry, GatewayConfig())

    def configure(self, telemetry: Telemetry, config: GatewayConfig) -> None:
        """Use these settings from now on. Envoy keeps the cluster of a former collector: connections that are open may
        still use the listeners of before."""
        self.config = config
        if telemetry.tracing is not None:
            self._snapshot.put(packed(COLLECTOR, _OWNER, build_collector(telemetry.tracing)))
        self._snapshot.put(packed(mirror.MIRROR, _OWNER, mirror.build_mirror_cluster()))
        copies = mirror.build_mirror_listener(telemetry.gate_socket, telemetry.access_log)
        self._snapshot.put(packed(mirror.MIRROR, _OWNER, copies))
        needs = frozenset({COLLECTOR} if telemetry.tracing is not None else ())
        for each in self._entry_points:
            self._snapshot.put(packed(each.name, _OWNER, listener.build_listener(each, telemetry, config), needs))
