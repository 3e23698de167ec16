# SPDX-License-Identifier: Apache-2.0
"""Builds and runs the gateway: the Envoys, their configuration, and the reports of their gates.

In: `Context` and `Settings`. Out: routes and endpoints in every Envoy, and load reports. Called by: `embedded.py`,
which hands bound methods of the gateway to other parts (docs/architecture.md).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address

from tidegate.client.context import Context
from tidegate.gateway import readiness
from tidegate.gateway.access_log import AccessLog
from tidegate.gateway.envoys.envoys import ACCESS_LOG, Envoys, EnvoySockets
from tidegate.gateway.envoys.ports import EnvoyPorts
from tidegate.gateway.load import Load
from tidegate.gateway.metrics import Metrics
from tidegate.gateway.publisher.listeners import EntryPoints
from tidegate.gateway.publisher.own_certificates import OwnCertificates
from tidegate.gateway.publisher.publisher import Publisher
from tidegate.kit import addresses
from tidegate.kit.supervision import Supervisor
from tidegate.model.load import LoadReport
from tidegate.settings import Settings
from tidegate.xds.listener import EntryPoint, Telemetry
from tidegate.xds.tracing import Tracing

_DEFAULT_PORTS = EnvoyPorts(http=80, https=443, internal=80)


class Gateway:
    """All Envoys of this machine.

    For other parts: `announce` an instance before its Pod does, `drained` (no gateway has a request at an instance),
    `load_of` (requests at each instance of a revision), `metrics` (text for Prometheus), `port_of` a listener.

    `pods`: this host's address in the network of Pods; None without one.
    """

    def __init__(self, context: Context, settings: Settings, pods: IPv4Address | None = None) -> None:
        requested = EnvoyPorts(settings.http_port, settings.https_port, settings.internal_port)
        sockets = EnvoySockets(settings.xds_socket, settings.admin_sockets)
        self._settings = settings
        self._configs = context.configs
        self._envoys = Envoys(settings.gateway, sockets, requested, context.clock)
        self.ports = self._envoys.ports
        self._publisher = Publisher(
            context,
            settings.xds_socket,
            _entry_points(settings, self.ports, pods, OwnCertificates(settings.gateway / "tls", context.clock.wall())),
            Telemetry(settings.gate_socket),
            self._envoys.gateways,
        )
        self._load = Load(settings.gate_socket, self._report, self._publisher.withdrawn, self._envoys.replace)
        self._metrics = Metrics(context.informers.revisions, settings.admin_sockets, context.clock)
        self._access_log = AccessLog(self._envoys.access_logs, context.clock)
        self._subscribers: list[Callable[[LoadReport], None]] = []
        self._configs.subscribe(self._configure)
        self.announce = self._publisher.announce
        self.drained = self._load.drained
        self.load_of = self._load.load_of
        self.metrics = self._metrics.text

    def on_report(self, subscriber: Callable[[LoadReport], None]) -> None:
        """Call `subscriber` with every load report of a gate, at once."""
        self._subscribers.append(subscriber)

    def start_load(self, supervisor: Supervisor) -> None:
        """Listen for the gates' reports. Envoys that run already connect, so that `drained` works from the start."""
        supervisor.start(load=self._load.run)

    def start(self, supervisor: Supervisor) -> None:
        """Publish, and run the Envoys. To be called once every Pod that says it is ready has an instance."""
        supervisor.start(
            publisher=self._publisher.run,
            access_log=self._access_log.run,
            envoys=partial(self._envoys.run, self._publisher.sharing.ended, self._load.idle),
        )

    async def until_answering(self) -> None:
        """Return once the gateway answers requests."""
        await readiness.until_answering(self.ports.http, self._settings.gateway)

    async def drain(self, seconds: float) -> None:
        """Refuse connections from now on. Returns once no request runs, at the latest after `seconds`."""
        await self._envoys.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._load.all_idle()

    async def stop(self) -> None:
        """End the Envoys. To be called once the supervisor has stopped."""
        await self._envoys.stop()

    def port_of(self, listener: str) -> int | None:
        """The port of a listener for URLs: None if it is the default of HTTP or HTTPS."""
        port: int = self.ports._asdict()[listener]
        return None if port == _DEFAULT_PORTS._asdict()[listener] else port

    def _report(self, report: LoadReport) -> None:
        self._publisher.sharing.report(report)
        self._metrics.report(report)
        for subscriber in self._subscribers:
            subscriber(report)

    def _configure(self) -> None:
        """Bring the listeners in line with config-observability and config-gateway."""
        config = self._configs.current.observability
        tracing = Tracing(*config.collector, config.tracing_sampling_rate * 100) if config.collector else None
        access_log = ACCESS_LOG if config.enable_request_log else None
        telemetry = Telemetry(self._settings.gate_socket, access_log, tracing)
        self._publisher.listeners.configure(telemetry, self._configs.current.gateway)


def _entry_points(
    settings: Settings, ports: EnvoyPorts, pods: IPv4Address | None, certificates: OwnCertificates
) -> EntryPoints:
    """A local domain is served to this machine alone. Pods use port 80, which the host leads to the internal port."""
    inside = EntryPoint("internal", addresses.loopback(), ports.internal, inside=True)
    of_pods = [EntryPoint("pods", (str(pods),), ports.internal, inside=True, early=True)] if pods is not None else []
    outside = addresses.loopback() if settings.is_local else addresses.everywhere()
    return EntryPoints(
        (
            EntryPoint("http", outside, ports.http),
            EntryPoint("https", outside, ports.https, tls=True),
            inside,
            *of_pods,
        ),
        ports.https,
        certificates,
    )
