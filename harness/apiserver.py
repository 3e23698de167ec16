# SPDX-License-Identifier: Apache-2.0
"""An API for tests: a store in a folder, verbs that admit everything, and optionally the HTTPS server."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tidegate.apiserver import kubeconfig, pki
from tidegate.apiserver.access.tokens import ServiceAccountTokens
from tidegate.apiserver.apiserver import ADMIN
from tidegate.apiserver.endpoints import http
from tidegate.apiserver.endpoints.auth import Authentication
from tidegate.apiserver.endpoints.field_validation import UnknownFields
from tidegate.apiserver.endpoints.objects import ObjectEndpoints
from tidegate.apiserver.endpoints.providers import EndedPods, PodSessions, Providers, ReadPodLog
from tidegate.apiserver.endpoints.streams import Streams
from tidegate.apiserver.registry.api import Api
from tidegate.apiserver.registry.inprocess import InProcess
from tidegate.apiserver.registry.versions import Admit
from tidegate.apiserver.server import HttpsServer
from tidegate.apiserver.upkeep.garbage_collector import GarbageCollector
from tidegate.apiserver.upkeep.namespaces import Namespaces
from tidegate.apiserver.upkeep.quota_status import QuotaStatus
from tidegate.client.cluster import Cluster
from tidegate.kit.clock import Clock, RealClock
from tidegate.model import errors
from tidegate.model.admission import AdmissionRequest, Admitted
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import Kind
from tidegate.model.logs import LogOptions
from tidegate.model.names import SERVICE
from tidegate.model.objects import Key, Object, key, labels
from tidegate.model.scheme import Scheme
from tidegate.model.sessions import SessionOptions, SessionStreams
from tidegate.model.user import User
from tidegate.store.store import Store

KNOWN = ("apiVersion", "kind", "metadata", "spec", "status", "data", "stringData", "type", "immutable", "binaryData")


def admit(kind: Kind, new: Object, old: Object | None, request: AdmissionRequest) -> Admitted:
    """Admit everything unchanged, with the warning of an annotation."""
    warning = (new["metadata"].get("annotations") or {}).get("warn")
    return Admitted(new, (warning,) if warning else ())


def unknown_fields(kind: Kind, obj: Object) -> Sequence[str]:
    return [name for name in obj if name not in KNOWN and kind.group]


async def pod_logs(pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
    run = " previous" if options.previous else ""
    yield f"{pod['metadata']['name']} {container} tail={options.tail_lines}{run}\n".encode()


class Ended:
    """The ended instances that a test gives."""

    def __init__(self, *pods: Object) -> None:
        self.pods = list(pods)

    def of(self, service: Key) -> Sequence[Object]:
        return [pod for pod in self.pods if Key(key(pod).namespace, labels(pod).get(SERVICE, "")) == service]

    def pod(self, name: Key) -> Object | None:
        return next((pod for pod in self.pods if key(pod) == name), None)


class NoSessions:
    """A node without instances."""

    def require(self, pod: Object, container: str) -> None:
        raise errors.BadRequest("nothing runs")

    async def execute(self, pod: Object, container: str, options: SessionOptions, streams: SessionStreams) -> int:
        raise errors.BadRequest("nothing runs")

    async def attach(self, pod: Object, container: str, options: SessionOptions, streams: SessionStreams) -> None:
        raise errors.BadRequest("nothing runs")

    async def connect(self, pod: Object, port: int) -> socket.socket:
        raise ConnectionRefusedError("nothing runs")


def cluster_of(api: Api, user: str = "tester") -> Cluster:
    """The API as a component of this process uses it, in the name of a user."""
    return InProcess(api, User(user))


async def metrics() -> bytes:
    return b"answers_total 42\n"


@asynccontextmanager
async def opened(
    folder: Path, clock: Clock | None = None, *, admit: Admit = admit, scheme: Scheme = BUILT_IN_SCHEME, **options: int
) -> AsyncIterator[Api]:
    """An API over a store in `folder`, with its initial namespaces and its upkeep."""
    async with Store.open(folder / "state.db", **options) as store:
        api = Api(store, admit=admit, clock=clock, scheme=scheme)
        await api.prepare()
        tasks = [asyncio.create_task(part.run()) for part in (GarbageCollector(api), Namespaces(api), QuotaStatus(api))]
        try:
            yield api
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its address and its credentials."""

    api: Api
    url: str
    identity: pki.Identity
    kubeconfig: Path
    stop: Callable[[], object]

    def client(self, **headers: str) -> httpx.AsyncClient:
        """An HTTP client that trusts the server and has its token."""
        trust = ssl.create_default_context(cadata=self.identity.authority)
        headers = {"authorization": f"Bearer {self.identity.token}", **headers}
        return httpx.AsyncClient(base_url=self.url, verify=trust, headers=headers, timeout=20)


@asynccontextmanager
async def served(
    folder: Path,
    *,
    streams: int = 100,
    clock: Clock | None = None,
    admit: Admit = admit,
    unknown_fields: UnknownFields = unknown_fields,
    pod_logs: ReadPodLog = pod_logs,
    ended: EndedPods | None = None,
    sessions: PodSessions | None = None,
    scheme: Scheme = BUILT_IN_SCHEME,
    **options: int,
) -> AsyncIterator[Served]:
    """The API behind HTTPS on a free port."""
    async with opened(folder, clock, admit=admit, scheme=scheme, **options) as api:
        identity = pki.identity(folder / "pki", RealClock().wall())
        providers = Providers(pod_logs, ended or Ended(), sessions or NoSessions(), metrics, dict)
        open_streams = Streams(streams)
        tokens = ServiceAccountTokens(api, folder / "pki", clock or RealClock())
        objects = ObjectEndpoints(api, unknown_fields, providers, open_streams, clock or RealClock(), tokens)
        app = http.application(objects, api.scheme, providers, Authentication(identity.token, ADMIN, tokens))
        server = HttpsServer(app, open_streams, identity, 0)
        running = asyncio.create_task(server.run())
        try:
            port = await server.started()
            kubeconfig.write(folder / "kubeconfig", identity, port)
            yield Served(api, f"https://127.0.0.1:{port}", identity, folder / "kubeconfig", running.cancel)
        finally:
            if not running.cancelling():
                running.cancel()
            await asyncio.gather(running, return_exceptions=True)
