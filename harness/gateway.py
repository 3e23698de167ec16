# SPDX-License-Identifier: Apache-2.0
"""A whole gateway: a Publisher with a real API, and any number of real Envoys. Instances are small apps
(`gate.instances`), for which the test writes Pods. `Load` reads the reports of the gates."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from harness import make
from harness.apiserver import cluster_of, opened
from harness.gate import Answer, Client, dechunked
from harness.waiting import eventually
from tidegate.client.cluster import Cluster
from tidegate.client.configs import LiveConfigs
from tidegate.client.context import Context
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.gateway.envoys import spec
from tidegate.gateway.envoys.bootstrap import bootstrap
from tidegate.gateway.envoys.envoys import Envoys, gate_library
from tidegate.gateway.load import Load
from tidegate.gateway.publisher.listeners import EntryPoints
from tidegate.gateway.publisher.own_certificates import OwnCertificates
from tidegate.gateway.publisher.publisher import Publisher
from tidegate.kit import addresses
from tidegate.kit.clock import RealClock
from tidegate.model import kinds, names
from tidegate.model.conditions import condition
from tidegate.model.kinds import Kind
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object, generation, key, status
from tidegate.xds.listener import EntryPoint, Telemetry
from tidegate.xds.tracing import Tracing

SERVING = ("workers_started", "total_listeners_active")
PATIENCE = 20.0  # seconds after which a test gives up


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Listens(Protocol):
    """An instance."""

    @property
    def port(self) -> int: ...


@dataclass
class World:
    """The control plane of a test, its Envoys and its clients."""

    folder: Path
    cluster: Cluster
    clock: RealClock
    port: int
    https_port: int
    tls: bool
    tracing: Tracing | None = None
    internal_port: int = field(default_factory=free_port)
    leaving: Callable[[str], None] = lambda _: None  # called with the id of an Envoy that got SIGTERM
    reports: dict[Key, LoadReport] = field(default_factory=dict)
    supervisors: list[Envoys] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    envoys: "list[Envoy]" = field(default_factory=list)  # that run
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Start a control plane."""
        informers = Informers(self.cluster, self.clock)
        recorder = Recorder(self.cluster, "gateway", self.clock)
        configs = LiveConfigs(informers.config_maps, domain="example.com")
        self.publisher = Publisher(
            Context(self.cluster, informers, configs, recorder, self.clock),
            self.folder / "xds.sock",
            self._entry_points(),
            Telemetry(self.gate_socket, self.folder / "access.log", self.tracing),
            [envoy.name for envoy in self.envoys],
        )
        self.load = Load(self.gate_socket, self._take, self.publisher.withdrawn, self._on_leaving)
        parts = (*(informer.run for informer in informers), recorder.run, self.publisher.run, self.load.run)
        self._tasks = [asyncio.create_task(part()) for part in parts]
        informers.ingresses.subscribe(lambda old, new: self._news.set())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if result is not None and not isinstance(result, asyncio.CancelledError):
                raise result

    @property
    def gate_socket(self) -> Path:
        return self.folder / "gate.sock"

    def _entry_points(self) -> EntryPoints:
        inside = EntryPoint("internal", addresses.loopback(), self.internal_port, inside=True)
        http = EntryPoint("http", addresses.loopback(), self.port)
        if not self.tls:
            return EntryPoints((http, inside), self.https_port)
        https = EntryPoint("https", addresses.loopback(), self.https_port, tls=True)
        certificates = OwnCertificates(self.folder / "tls", self.clock.wall())
        return EntryPoints((http, inside, https), self.https_port, certificates)

    def _take(self, report: LoadReport) -> None:
        self.reports[report.revision] = report
        self.publisher.sharing.report(report)
        self._news.set()

    def _on_leaving(self, name: str) -> None:
        self.leaving(name)

    async def until(self, holds: Callable[[], Any]) -> Any:
        """Return the first true result of `holds`, which is called after every report and change of an Ingress."""
        async with asyncio.timeout(PATIENCE):
            while not (found := holds()):
                self._news.clear()
                await self._news.wait()
        return found

    async def turn(self) -> None:
        """Return after the next report or change of an Ingress."""
        self._news.clear()
        await asyncio.wait_for(self._news.wait(), PATIENCE)

    async def until_report(self, revision: str, holds: Callable[[LoadReport], bool]) -> LoadReport:
        name = Key(make.NAMESPACE, revision)
        await self.until(lambda: name in self.reports and holds(self.reports[name]))
        return self.reports[name]

    # Objects

    async def apply(self, *objects: Object) -> None:
        """Create each object, or replace its spec and metadata; and its status, if given."""
        for obj in objects:
            kind = kinds.BUILT_IN_KINDS.named(obj["apiVersion"], obj["kind"])
            assert kind is not None
            name = Key(make.NAMESPACE, obj["metadata"]["name"])
            before = (await self.cluster.list(kind, fields=f"metadata.name={name.name}")).items
            write = self.cluster.update if before else self.cluster.create
            written = await write(kind, make.new(obj))
            if "status" in obj:
                await self.cluster.update_status(kind, {**written, "status": obj["status"]})

    async def delete(self, kind: Kind, name: str, **options: Any) -> None:
        await self.cluster.delete(kind, Key(make.NAMESPACE, name), **options)

    async def run_at(self, revision: Object, instance: Listens, suffix: str = "aaaaa", *, ready: bool = True) -> Object:
        """Write the Pod of an instance."""
        at = {names.PORT: str(instance.port)}
        owner = await self.cluster.get(kinds.REVISION, key(revision))
        pod = make.pod(owner, suffix, ready=ready, metadata={"annotations": at})
        pod["spec"] = {**pod["spec"], "nodeName": "here"}
        await self.apply(pod)
        return pod

    async def ready(self, name: str) -> None:
        """Return once the gateways have acknowledged the current Ingress."""
        await self.state(name, "True")

    async def state(self, name: str, wanted: str) -> Object:
        """The condition Ready of the current Ingress, once it has that status."""
        return await self._condition(name, lambda found: bool(found["status"] == wanted))

    async def reason(self, name: str, wanted: str) -> Object:
        """The condition Ready of the current Ingress, once it has that reason."""
        return await self._condition(name, lambda found: found.get("reason") == wanted)

    async def _condition(self, name: str, accepts: Callable[[Object], bool]) -> Object:
        obj = await self.cluster.get(kinds.INGRESS, Key(make.NAMESPACE, name))

        async def holds() -> Object | None:
            now = await self.cluster.get(kinds.INGRESS, Key(make.NAMESPACE, name))
            seen = status(now).get("observedGeneration") == generation(obj)
            found = condition(now, "Ready")
            return found if seen and found is not None and accepts(found) else None

        async with asyncio.timeout(PATIENCE):
            while (found := await holds()) is None:
                self._news.clear()
                await self._news.wait()
        return found

    # Requests

    def client(self, host: str, *, inside: bool = False) -> Client:
        return Client(self.internal_port if inside else self.port, host)

    async def get(self, host: str, path: str = "/", headers: str = "", *, inside: bool = False) -> Answer:
        """Send one request on a new connection."""
        async with asyncio.timeout(PATIENCE), self.client(host, inside=inside) as client:
            client.send(path, headers=headers)
            return await client.answer()

    async def answer(self, host: str) -> Answer:
        """The first response that is not 404, for an Ingress whose status does not show the acknowledgement."""

        async def ask() -> Answer | None:
            answer = await self.get(host)
            return answer if answer.status != 404 else None

        return await eventually(ask, patience=PATIENCE)

    async def bodies(self, host: str, count: int, path: str = "/") -> Mapping[str, int]:
        """Send that many requests on one connection. Return how often each body was the response."""
        counts: dict[str, int] = {}
        async with self.client(host) as client:
            for _ in range(count):
                answer = await client.get(path)
                counts[answer.body] = counts.get(answer.body, 0) + 1
        return counts

    @asynccontextmanager
    async def envoy(self, name: str = "envoy") -> AsyncIterator["Envoy"]:
        """A real Envoy that has the whole configuration."""
        started = Envoy(self.folder / name, self.folder)
        await started.start()
        self.envoys.append(started)
        try:
            await started.until_serving()
            yield started
        finally:
            await self.kill(started)

    async def kill(self, envoy: "Envoy") -> None:
        """End it with SIGKILL, and report the end as its supervisor does."""
        await envoy.stop()
        if envoy in self.envoys:
            self.envoys.remove(envoy)
            self.publisher.sharing.ended(envoy.name)


@dataclass
class Envoy:
    """One process, with the product's bootstrap; its admin socket is in its own folder."""

    folder: Path
    sockets: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    async def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        config = bootstrap(self.sockets / "xds.sock", self.sockets / "admin.sock", connections=1000, heap_bytes=1 << 30)
        config["admin"]["address"]["pipe"]["path"] = str(self.folder / "admin.sock")
        (self.folder / "bootstrap.json").write_bytes(msgspec.json.encode(config))
        command = [*spec.command(self.folder, 1), "--disable-hot-restart", "--service-node", self.name]
        search = {"ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(gate_library().parent)}
        environment = {**search, "TIDEGATE_GATEWAY": self.name}
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, stderr=log, env=environment)

    async def stop(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def until_serving(self) -> None:
        """Return once it listens, or raise with its log."""
        assert self.process is not None

        async def is_serving() -> bool:
            return all([await self.counter(f"listener_manager.{name}") for name in SERVING])

        try:
            await eventually(is_serving, patience=PATIENCE)
        except AssertionError:
            raise AssertionError((self.folder / "log").read_text()) from None

    async def admin(self, path: str) -> str:
        """The response of its admin interface; "" while there is none."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.folder / "admin.sock"))
        except (FileNotFoundError, ConnectionRefusedError):
            return ""
        with contextlib.closing(writer):
            writer.write(f"GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
            return dechunked(body) if "chunked" in head else body

    async def counter(self, name: str) -> int:
        """A counter of Envoy; 0 if it does not exist."""
        for line in (await self.admin(f"/stats?filter=^{name}$")).splitlines():
            if line.startswith(f"{name}: "):
                return int(line.rpartition(" ")[2])
        return 0


@asynccontextmanager
async def world(folder: Path, *, tls: bool = False, tracing: Tracing | None = None) -> AsyncIterator[World]:
    """A running control plane, without Envoys."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(opened(folder))
        made = World(folder, cluster_of(api, "gateway"), RealClock(), free_port(), free_port(), tls, tracing)
        await made.start()
        stack.push_async_callback(made.stop)
        yield made
