# SPDX-License-Identifier: Apache-2.0
"""Tidegate on one machine: every part, built and run in one process. The only module that imports all parts.

In: the settings of a start. Out: a running Tidegate, until SIGINT or SIGTERM. Called by: `tidegate up` (`run`) and
`tidegate down` (`end`).

Where an object would be too slow, one part gets a bound method of another; docs/architecture.md lists these hand-overs.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import structlog
import uvloop

from tidegate import home
from tidegate.apiserver.access.tokens import ServiceAccountTokens
from tidegate.apiserver.apiserver import ApiServer
from tidegate.apiserver.endpoints.providers import Providers
from tidegate.apiserver.registry.api import Api
from tidegate.apiserver.registry.creations import Creations
from tidegate.apiserver.registry.inprocess import InProcess
from tidegate.autoscaler.autoscaler import Autoscaler
from tidegate.bundles import modes
from tidegate.client.cluster import Cluster
from tidegate.client.configs import LiveConfigs
from tidegate.client.context import Context
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.controllers.controllers import Callbacks, Controllers
from tidegate.dns.dns import Dns
from tidegate.extension.extensions import Extensions, installed
from tidegate.gateway.envoys import processes as envoy_processes
from tidegate.gateway.envoys.ports import EnvoyError, EnvoyPorts
from tidegate.gateway.gateway import Gateway
from tidegate.housekeeping import Housekeeping
from tidegate.image_builds import buildah
from tidegate.images import work_folder
from tidegate.images.resolver import Resolver
from tidegate.images.store import ImageStore
from tidegate.kit import gc_tuning, logging, notify, trust
from tidegate.kit.authority import AuthorityError
from tidegate.kit.clock import RealClock
from tidegate.kit.native import NativeError
from tidegate.kit.processes import raise_open_files_limit
from tidegate.kit.supervision import Health, Supervisor, reason
from tidegate.model import kinds, names
from tidegate.model.admission import Admission
from tidegate.model.user import service_account
from tidegate.network.errors import FirewallError, NoSubnet
from tidegate.network.options import NetworkOptions
from tidegate.network.pod_network import PodNetwork, remove_pod_network
from tidegate.node.node import Node
from tidegate.node.runtime import RuntimeUnavailable
from tidegate.node.this_host import end_instances, this_host
from tidegate.runfile import Endpoints, RunRecord, choices_of, read_choices, write_choices, write_record
from tidegate.settings import Settings
from tidegate.statusz import Statusz
from tidegate.store.database import StoreError
from tidegate.store.store import Store

_FINAL = (StoreError, AuthorityError, home.Unusable)
_DRAIN_SECONDS = 1.0  # for running requests to end before the instances get SIGTERM, when Tidegate stops
_GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL of the instances when Tidegate stops
_RESERVE = 8 * 1024 * 1024  # bytes on disk that the state database reserves for writes when the disk is full
_SWITCH_SECONDS = 0.001  # longest wait of the event loop for a thread that holds the GIL; Python's default is 5 ms
_REMEMBERED_EVERY = 10.0  # seconds until a removed kubeconfig or record is written again


class StartError(Exception):
    """Tidegate cannot start, or must stop. The message is one line for the user. `is_final`: another start fails the
    same way until somebody repairs the state folder."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


_FAILURES = (
    *(StartError, StoreError, EnvoyError, NativeError, RuntimeUnavailable, AuthorityError, home.HomeError),
    *(trust.Untrusted, NoSubnet, FirewallError, OSError),
)


def run(settings: Settings, on_started: Callable[[Endpoints], None]) -> None:
    """Run Tidegate until SIGINT or SIGTERM; then stop everything it started. Raises `StartError`."""
    logging.configure()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        uvloop.run(_run(settings, on_started))
    except* _FAILURES as group:
        error = _first(group)
        raise StartError(reason(error), is_final=isinstance(error, _FINAL)) from group


def end(settings: Settings) -> int:
    """End the instances and gateways that a killed control plane left running; returns their number."""
    return asyncio.run(_end(settings))


async def _end(settings: Settings) -> int:
    work_folder.sweep(settings.images)
    buildah.unmount_left(settings.images)
    left = envoy_processes.running(settings.gateway)
    await envoy_processes.end(settings.gateway)
    ended = await end_instances(settings, _GRACE_SECONDS)
    await remove_pod_network(_network_options(settings))
    return len(left) + ended


async def _run(settings: Settings, on_started: Callable[[Endpoints], None]) -> None:
    raise_open_files_limit()
    os.umask(0o077)  # the state is private; a file for apps gets its mode where it is written
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    home.prepare(settings)
    modes.open_all(settings.bundles)
    with home.held(settings):
        home.require_objects(settings)
        notify.status("opening the state database")
        async with Store.open(settings.database, reserve=_RESERVE) as store:
            await Embedded(settings, store).run(on_started, stopped)


class Embedded:
    """All parts of one Tidegate over one store. Each is built from those above it."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock = RealClock()
        self._parts: dict[str, Health] = {}
        self._extensions = Extensions(installed())
        scheme = self._extensions.scheme
        admission = Admission(scheme, lambda: configs.current)
        self._api = Api(store, admit=admission.admit, clock=clock, scheme=scheme)
        cluster = self._cluster("controller")
        self._informers = informers = Informers(cluster, clock, scheme)
        configs = LiveConfigs(informers.config_maps, domain=settings.domain)
        self._recorder = Recorder(cluster, "tidegate", clock)
        self._context = Context(cluster, informers, configs, self._recorder, clock)

        self._network = network = PodNetwork(_network_options(settings))
        self._gateway = gateway = Gateway(self._context_of("gateway"), settings, network.gateway)
        self._dns = dns = Dns(informers.ingresses, network.plan, clock) if network.plan is not None else None
        if dns is not None:
            network.listen(gateway.ports.internal, dns.port)
        tokens = ServiceAccountTokens(self._api, settings.pki, clock)
        self._node = node = Node(
            self._context_of("node"),
            settings,
            this_host(self._context_of("node"), settings, network),
            drained=gateway.drained,
            issue_token=tokens.issue,
            announce=gateway.announce,
        )
        resolver = Resolver(ImageStore(settings.images), lambda: configs.current)
        self._controllers = Controllers(
            self._context,
            Callbacks(gateway.load_of, gateway.port_of, wake=node.agent.wake, resolve=resolver.resolve),
        )
        self._autoscaler = autoscaler = Autoscaler(
            self._context, settings, usage=node.sampler.usage, announce=self._controllers.expect_scale
        )
        self._housekeeping = Housekeeping(settings, informers, configs, clock)
        figures = (gateway.metrics, node.metrics, *([dns.metrics] if dns is not None else ()))
        statusz = Statusz(self._parts, self._housekeeping, settings, *figures)
        providers = Providers(node.logs.read, node.archive, node.sessions, statusz.figures, statusz.object)
        self._api_server = ApiServer(self._api, settings, _api_port(settings), providers, clock, tokens)

        # Hand-overs that close a ring of parts.
        gateway.on_report(autoscaler.report)
        store.observe(Creations(kinds.POD, node.agent.expect, node.agent.confirm))
        admission.add_check(autoscaler.check)

    async def run(self, on_started: Callable[[Endpoints], None], stopped: asyncio.Event) -> None:
        """Run all parts until `stopped` is set or the state database is damaged."""
        await self._api.prepare()
        async with asyncio.TaskGroup() as group:
            damage = group.create_task(self._store.damaged(), name="damage of the store")  # ends the other tasks
            supervisor = Supervisor(group, self._clock, self._parts)
            supervisor.watch(self._store.health)
            for informer in self._informers:
                supervisor.keep(f"informer {informer.kind.resource}", informer.run)
            supervisor.start(events=self._recorder.run)
            self._network.start(supervisor)
            if self._dns is not None:
                self._dns.start(supervisor)
            self._gateway.start_load(supervisor)
            self._node.start(supervisor)
            self._api_server.start(supervisor)
            self._housekeeping.start(supervisor)
            start = group.create_task(self._start(supervisor, on_started), name="start")
            await stopped.wait()
            start.cancel()
            structlog.get_logger("app").info("stopping")
            await self._gateway.drain(_DRAIN_SECONDS)  # first: a gateway without instances answers 503
            await self._node.agent.stop_all(_GRACE_SECONDS)
            supervisor.stop()
            damage.cancel()
        await self._gateway.stop()
        await self._network.close()
        self._settings.record.unlink(missing_ok=True)

    async def _start(self, supervisor: Supervisor, on_started: Callable[[Endpoints], None]) -> None:
        """Start the parts that rely on the API and on the adopted instances."""
        record = _record(self._settings, self._gateway.ports, await self._api_server.started())
        supervisor.every(_REMEMBERED_EVERY, record=partial(self._remember, record))
        notify.status("looking for instances that run already")
        await self._node.agent.settled()  # every Pod that is ready has an instance now
        self._node.start_usage(supervisor)
        self._autoscaler.start(supervisor)
        self._controllers.start(supervisor)
        self._extensions.start(supervisor, self._context_of)
        self._gateway.start(supervisor)
        supervisor.start(collection=partial(gc_tuning.run, self._clock))
        await self._gateway.until_answering()
        with suppress(OSError):  # `on_started` prints; the output may be a log on a full disk
            on_started(record.endpoints)
        notify.ready()

    async def _remember(self, record: RunRecord) -> None:
        """Write the files by which clients and the next start find this Tidegate, if one is missing."""
        self._api_server.write_kubeconfig(record.api_port)
        write_record(self._settings, record)
        write_choices(self._settings, choices_of(record))

    def _cluster(self, name: str) -> Cluster:
        """The API, as the user of a part."""
        return InProcess(self._api, service_account(names.SYSTEM_NAMESPACE, name))

    def _context_of(self, name: str) -> Context:
        return replace(self._context, cluster=self._cluster(name))


def _api_port(settings: Settings) -> int:
    """The requested port; for port 0 the port of the last start if it is free, so that the kubeconfig stays valid."""
    before = read_choices(settings)
    port = settings.api_port or (before.api_port if before is not None else 0)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if settings.api_port:
                raise StartError(f"cannot listen on port {port}: {os.strerror(error.errno or 0).lower()}") from error
            return 0
    return port


def _network_options(settings: Settings) -> NetworkOptions:
    return NetworkOptions(settings.pod_namespaces, settings.network, settings.pod_cidr, settings.pod_metadata)


def _record(settings: Settings, ports: EnvoyPorts, api_port: int) -> RunRecord:
    endpoints = Endpoints(
        http=f"http://127.0.0.1:{ports.http}",
        https=f"https://127.0.0.1:{ports.https}",
        internal=f"http://127.0.0.1:{ports.internal}",
        api=f"https://127.0.0.1:{api_port}",
    )
    return RunRecord(endpoints, *ports, api_port, settings.domain, settings.gateways)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
