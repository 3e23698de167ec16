# SPDX-License-Identifier: Apache-2.0
"""The whole, put together: every part built bottom-up in one place and run in one TaskGroup. The only file that knows
them all.

Where one part's knowledge is too quick for an object (a load report, "is this instance idle?"), its bound method is
handed to the other as a plain callable; all such hand-overs are in `_serve`.

Who: `tidegate up` (`run`) and `tidegate down` (`end`).
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import structlog
import uvloop

from tidegate import home
from tidegate.apiserver.apiserver import ApiServer
from tidegate.apiserver.endpoints.providers import Providers
from tidegate.apiserver.registry.api import Api
from tidegate.apiserver.registry.creations import Creations
from tidegate.apiserver.registry.inprocess import InProcess
from tidegate.autoscaler.autoscaler import Autoscaler
from tidegate.bundles import modes
from tidegate.client.configs import LiveConfigs
from tidegate.client.context import Context
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.controllers.controllers import Callbacks, Controllers
from tidegate.extension.extensions import Extensions, installed
from tidegate.gateway.envoys import processes as envoy_processes
from tidegate.gateway.envoys.ports import EnvoyError, EnvoyPorts
from tidegate.gateway.gateway import Gateway
from tidegate.housekeeping import COLLECT_EVERY, LOGS_EVERY, MEASURE_EVERY, Upkeep
from tidegate.kit import collection, logging, notify, trust
from tidegate.kit.authority import AuthorityError
from tidegate.kit.clock import RealClock
from tidegate.kit.native import NativeError
from tidegate.kit.processes import take_files
from tidegate.kit.supervision import Health, Supervisor, reason
from tidegate.model import kinds, names
from tidegate.model.admission import Admission, AdmissionRequest, Admitted
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object, is_deleting
from tidegate.model.user import service_account
from tidegate.node.node import Node
from tidegate.node.runtimes.process.end import end_instances
from tidegate.node.runtimes.process.identity import IdentityError
from tidegate.node.this_host import this_host
from tidegate.runfile import Endpoints, RunRecord, choices_of, read_choices, write_choices, write_record
from tidegate.settings import Settings
from tidegate.statusz import Statusz
from tidegate.store.database import StoreError
from tidegate.store.store import Store

_FINAL = (StoreError, AuthorityError, home.Unusable)
_GRACE_SECONDS = 10.0  # that instances have to end by themselves when all is stopped
_RESERVE = 8 * 1024 * 1024  # bytes that the state database keeps free for writes on a full disk
_SWITCH_SECONDS = 0.001  # that a thread with a large request keeps the event loop waiting; Python's default is 5 ms
_REMEMBERED_EVERY = 10.0  # seconds after which a kubeconfig or a record that somebody removed is back
_LONGEST_SOCKET_PATH = 107  # bytes that a Unix socket's address has room for


class StartError(Exception):
    """Tidegate cannot start, or go on; the message is one line for the user. `is_final`: nor can it another time,
    before somebody has put its state in order."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


_FAILURES = (
    *(StartError, StoreError, EnvoyError, NativeError, IdentityError, AuthorityError, home.HomeError),
    *(trust.Untrusted, OSError),
)


def run(settings: Settings, on_started: Callable[[Endpoints], None]) -> None:
    """Run Tidegate until SIGINT or SIGTERM; then everything it started is stopped. Raises `StartError`."""
    logging.configure()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        uvloop.run(_run(settings, on_started))
    except* _FAILURES as group:
        error = _first(group)
        raise StartError(reason(error), is_final=isinstance(error, _FINAL)) from group


def end(settings: Settings) -> int:
    """End what a killed control plane left running; how many instances and gateways that were."""
    return asyncio.run(_end(settings))


async def _end(settings: Settings) -> int:
    left = envoy_processes.running(settings.gateway)
    await envoy_processes.end(settings.gateway)
    return len(left) + await end_instances(settings.instances, _GRACE_SECONDS)


async def _run(settings: Settings, on_started: Callable[[Endpoints], None]) -> None:
    take_files()
    os.umask(0o077)  # state is for us; what apps read gets its mode where it is made
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    _make_folders(settings)
    with home.held(settings):
        home.require_objects(settings)
        notify.status("opening the state database")
        async with Store.open(settings.database, reserve=_RESERVE) as store:
            await _serve(settings, store, on_started, stopped)


async def _serve(
    settings: Settings, store: Store, on_started: Callable[[Endpoints], None], stopped: asyncio.Event
) -> None:
    clock = RealClock()

    def admit(kind: Kind, new: Object, old: Object | None, request: AdmissionRequest) -> Admitted:
        admitted = admission.admit(kind, new, old, request)
        if not request.subresource and (old is None or not is_deleting(old)):
            autoscaler.check(kind, admitted.object)
        return admitted

    extensions = Extensions(installed())
    admission = Admission(extensions.scheme, lambda: configs.current)
    api = Api(store, admit=admit, clock=clock, scheme=extensions.scheme)
    controller, gateway_cluster, node_cluster = (
        InProcess(api, service_account(names.SYSTEM_NAMESPACE, name)) for name in ("controller", "gateway", "node")
    )
    informers = Informers(controller, clock, extensions.scheme)
    configs = LiveConfigs(informers.config_maps, domain=settings.domain)
    recorder = Recorder(controller, "tidegate", clock)
    context = Context(controller, informers, configs, recorder, clock)

    def context_of(extension: str) -> Context:
        return replace(context, cluster=InProcess(api, service_account(names.SYSTEM_NAMESPACE, extension)))

    gateway = Gateway(Context(gateway_cluster, informers, configs, recorder, clock), settings)
    node = Node(
        Context(node_cluster, informers, configs, recorder, clock),
        settings,
        this_host(node_cluster, settings),
        drained=gateway.drained,
        announce=gateway.announce,
    )
    store.observe(Creations(kinds.POD, node.agent.expect, node.agent.confirm))
    controllers = Controllers(context, Callbacks(gateway.in_flight, gateway.port_of, node.agent.wake))
    autoscaler = Autoscaler(context, settings, usage=node.sampler.usage, announce=controllers.expect_scale)
    gateway.on_report(autoscaler.report)  # a ring: load makes the autoscaler want instances, which are chosen by load
    parts: dict[str, Health] = {}
    upkeep = Upkeep(
        settings, (informers.services, informers.configurations, informers.revisions, informers.pods), clock
    )
    statusz = Statusz(parts, upkeep, settings, gateway.metrics)
    providers = Providers(node.logs.read, node.archive, statusz.figures, statusz.object)
    api_server = ApiServer(api, settings, _api_port(settings), providers, clock)

    await api.prepare()
    async with asyncio.TaskGroup() as group:
        breaking = group.create_task(store.damaged(), name="damage of the store")  # ends all the others
        supervisor = Supervisor(group, clock, parts)
        supervisor.watch(store.health)
        for informer in informers:
            supervisor.keep(f"informer {informer.kind.resource}", informer.run)
        supervisor.start(events=recorder.run)
        gateway.start_load(supervisor)
        node.start(supervisor)
        api_server.start(supervisor)
        supervisor.every(LOGS_EVERY, log_rotation=upkeep.rotate)
        supervisor.every(COLLECT_EVERY, bundles=upkeep.collect)
        supervisor.every(MEASURE_EVERY, disk_usage=upkeep.measure)

        async def start() -> None:
            record = _record(settings, gateway.ports, await api_server.started())

            async def remember() -> None:
                api_server.write_kubeconfig(record.api_port)
                write_record(settings, record)
                write_choices(settings, choices_of(record))

            supervisor.every(_REMEMBERED_EVERY, record=remember)
            notify.status("looking for instances that run already")
            await node.agent.settled()  # from here on a Pod that says it is ready has an instance
            node.start_usage(supervisor)
            autoscaler.start(supervisor)
            controllers.start(supervisor)
            extensions.start(supervisor, context_of)
            gateway.start(supervisor)
            supervisor.start(collection=lambda: collection.run(clock))
            await gateway.until_answering()
            with suppress(OSError):  # what it prints: its output may be a log on a full disk
                on_started(record.endpoints)
            notify.ready()

        starting = group.create_task(start(), name="start")
        await stopped.wait()
        starting.cancel()
        structlog.get_logger("app").info("stopping")
        await node.agent.stop_all(_GRACE_SECONDS)
        supervisor.stop()
        breaking.cancel()
    await gateway.stop()
    settings.record.unlink(missing_ok=True)


def _make_folders(settings: Settings) -> None:
    """The state folder and what is in it, for their owner alone. Where apps run as users of their own, they may pass
    to their bundles and their own folders, and list none."""
    passed = (settings.home, settings.instances, settings.bundles) if os.geteuid() == 0 else ()
    for folder in (
        settings.home,
        settings.sockets,
        settings.gateway,
        settings.instances,
        settings.bundles,
        settings.pki,
    ):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        trust.require(folder, settings.trusted if folder == settings.home else ())
        folder.chmod(0o711 if folder in passed else 0o700)
    for place in settings.home.iterdir():
        if place not in (settings.instances, settings.bundles) and not place.is_symlink():
            place.chmod(place.stat().st_mode & 0o700)
    modes.open_all(settings.bundles)
    for path in (settings.xds_socket, settings.gate_socket, *settings.admin_sockets):
        if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
            raise StartError(f"the state folder {settings.home} has too long a path for its sockets")


def _api_port(settings: Settings) -> int:
    """The port that is asked for. Of free ones, the one of last time: kubectl's settings go on to hold."""
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


def _record(settings: Settings, ports: EnvoyPorts, api_port: int) -> RunRecord:
    endpoints = Endpoints(
        http=f"http://127.0.0.1:{ports.http}",
        https=f"https://127.0.0.1:{ports.https}",
        internal=f"http://127.0.0.1:{ports.internal}",
        api=f"https://127.0.0.1:{api_port}",
    )
    return RunRecord(endpoints, *ports, api_port, settings.domain, settings.gateways)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
