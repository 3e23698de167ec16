# SPDX-License-Identifier: Apache-2.0
"""A real Envoy with the gate, instances that count their requests, and clients, for the gate's tests and the bench.

Clusters and endpoints come from files that Envoy watches. A revision `hello` is the cluster `default/hello`, and its
host is `hello`.
"""

import asyncio
import contextlib
import json
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from google.protobuf import json_format

from tidegate.gateway import module
from tidegate.xds.module import gate_socket
from tidegate.xds.replies import build_replies

JsonObject = dict[str, Any]

ENVOY = Path(sys.prefix) / "bin" / "envoy"
TYPE = "type.googleapis.com/"
LATE = 0.003  # seconds: the timeout of the route /late/
STREAM_BEGIN = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nok \r\n"
STREAM_END = b"3\r\nend\r\n0\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"


class Instance:
    """An app on its own port that counts simultaneous requests. The path says what it does:

    /                answers 200 at once
    /work/SECONDS    answers 200 after that time
    /late/SECONDS    the same, but the gateway has a short timeout
    /stream/SECONDS  sends the headers at once and the end of the body after that time
    /hold            sends the headers at once and the end of the body when `release` is called
    /status/CODE     answers with that status code
    /reset           closes the connection instead of answering
    an upgrade       accepts a WebSocket, and sends back all that it receives
    """

    def __init__(self) -> None:
        self.port = 0
        self.busy: set[Exchange] = set()  # the connections with a running request
        self.most = 0  # the most simultaneous requests so far
        self.served = 0  # requests begun
        self.worked = 0.0  # sum of seconds from the beginnings of requests to their answers
        self.bytes = 0  # of request bodies
        self.connections: set[Exchange] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> "Instance":
        """Listen; after a `stop`, on the same port again."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Exchange(self), "127.0.0.1", self.port, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """End like a killed process: close the port and cut every connection."""
        self._server.close()
        for connection in list(self.connections):
            connection.cut()
        await self._server.wait_closed()

    def release(self) -> None:
        """End the requests to /hold."""
        for exchange in [each for each in self.busy if each.is_held]:
            exchange.finish(STREAM_END)

    def begin(self, exchange: "Exchange") -> None:
        """Count the running requests, with this one.

        Requests whose connection the gateway has closed are not running, even if the event loop has not noticed yet.
        """
        self.served += 1
        exchange.began = time.monotonic()
        self.busy.add(exchange)
        poll = select.poll()
        for each in self.busy:
            poll.register(each.transport.get_extra_info("socket"), select.POLLRDHUP)
        self.most = max(self.most, len(self.busy) - len(poll.poll(0)))


@contextlib.asynccontextmanager
async def instances(count: int) -> AsyncIterator[list[Instance]]:
    """Instances that run until the end of the context."""
    started = [await Instance().start() for _ in range(count)]
    try:
        yield started
    finally:
        for instance in started:
            await instance.stop()


class Exchange(asyncio.Protocol):
    """One HTTP/1.1 connection to an instance, with one request at a time."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.unread = b""
        self.upgraded = False
        self.is_held = False
        self.began = 0.0
        self.later: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transport is one, but not a subclass
        self.instance.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.instance.connections.discard(self)
        self.give_up()

    def eof_received(self) -> None:
        self.give_up()

    def give_up(self) -> None:
        """The gateway closed the connection: a request that runs here ends at once."""
        if self.later is not None:
            self.later.cancel()
        self.instance.busy.discard(self)

    def cut(self) -> None:
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.upgraded:
            self.transport.write(data)
            return
        self.unread += data
        if self not in self.instance.busy:
            self.read()

    def read(self) -> None:
        head, found, rest = self.unread.partition(b"\r\n\r\n")
        if not found:
            return
        lowered = head.lower()
        if b"\r\ntransfer-encoding: chunked" in lowered:
            body, end, rest = rest.partition(b"0\r\n\r\n")
            if not end:
                return
        elif b"\r\ncontent-length:" in lowered:
            size = int(lowered.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
            if len(rest) < size:
                return
            body, rest = rest[:size], rest[size:]
        else:
            body = b""
        self.unread = rest
        self.instance.bytes += len(body)
        self.instance.begin(self)
        self.serve(head.split(b" ", 2)[1].decode(), upgrade=b"\r\nupgrade: websocket" in lowered)

    def serve(self, path: str, *, upgrade: bool) -> None:
        _, what, argument = [*path.split("/"), ""][:3]
        if upgrade:
            self.upgraded = True
            self.transport.write(SWITCHED)
        elif what == "reset":
            self.transport.abort()
        elif what in ("work", "late"):
            self.later = asyncio.get_running_loop().call_later(float(argument), self.answer)
        elif what in ("stream", "hold"):
            self.transport.write(STREAM_BEGIN)
            self.is_held = what == "hold"
            if not self.is_held:
                self.later = asyncio.get_running_loop().call_later(float(argument), self.finish, STREAM_END)
        else:
            self.answer(int(argument) if what == "status" else 200)

    def answer(self, status: int = 200) -> None:
        body = self.instance.address.encode()
        self.finish(b"HTTP/1.1 %d Answer\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))

    def finish(self, data: bytes) -> None:
        self.later = None
        self.is_held = False
        self.instance.worked += time.monotonic() - self.began
        self.instance.busy.discard(self)
        self.transport.write(data)
        if self.unread:
            self.read()


class Reports:
    """The control plane's end of the gate's socket: all packets, and the latest report of each revision."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.latest: dict[str, JsonObject] = {}
        self.packets: deque[JsonObject] = deque(maxlen=1000)  # with "heard", the time at which each arrived
        self.count = 0
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.setblocking(False)
            self.path.unlink(missing_ok=True)
            listener.bind(str(self.path))
            listener.listen()
            while True:
                connection, _ = await loop.sock_accept(listener)
                with connection:
                    while packet := await loop.sock_recv(connection, 1 << 17):
                        self.take(json.loads(packet))

    def take(self, packet: JsonObject) -> None:
        self.count += 1
        self.packets.append({**packet, "heard": time.monotonic()})
        for revision in packet["revisions"]:
            self.latest[revision["name"]] = revision
        self._news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the condition holds; check it after every packet."""
        while not holds():
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 20)

    async def until_of(self, name: str, holds: Callable[[JsonObject], bool]) -> JsonObject:
        """The first report of default/NAME, now or later, that meets the condition."""
        key = f"default/{name}"
        await self.until(lambda: key in self.latest and holds(self.latest[key]))
        return self.latest[key]


@dataclass
class Gateway:
    """An Envoy with the gate. `revisions`: name -> the policy's settings, or None for round robin without a gate."""

    folder: Path
    revisions: Mapping[str, JsonObject | None]
    workers: int = 2
    filter_config: JsonObject | None = None  # None: reports to `reports`
    retries: int = 100
    upstream: JsonObject = field(default_factory=dict)  # added to every cluster
    command: Sequence[str | Path] = (ENVOY,)
    patience: float = 20  # seconds to wait for a line of Envoy's log
    modules: Path | None = None  # the folder of Envoy's modules; None: the gate's
    port: int = 0
    log: deque[str] = field(default_factory=lambda: deque(maxlen=2000))

    def __post_init__(self) -> None:
        self.reports = Reports(self.folder / "gate.sock")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        """Run Envoy and receive its reports, until the end of the context."""
        self._listening = asyncio.create_task(self.reports.run())
        self.process = await self.start()
        self._reading = asyncio.create_task(self.read_log())
        try:
            await self.until_logged("starting workers")
            listeners = await self.admin("/listeners?format=json")
            self.port = listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]
            yield self
        finally:
            await self.stop()
            await self.stop_reports()

    async def stop_reports(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def restart_reports(self) -> None:
        """End and start the control plane's end of the socket, like a crash."""
        await self.stop_reports()
        self._listening = asyncio.create_task(self.reports.run())

    async def start(self) -> asyncio.subprocess.Process:
        (self.folder / "eds").mkdir(exist_ok=True)
        for name in self.revisions:
            self.set_hosts(name, [])
        self.set_clusters(self.revisions)
        write(self.folder / "envoy.json", self.bootstrap())
        environment = {
            **os.environ,
            "ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(self.modules or module.GATE.path().parent),
        }
        arguments = ["-c", str(self.folder / "envoy.json"), "--disable-hot-restart", "--concurrency", str(self.workers)]
        return await asyncio.create_subprocess_exec(
            *self.command, *arguments, stderr=asyncio.subprocess.PIPE, env=environment
        )

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()
        await self._reading

    async def read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode())
            for waiter in list(self._waiters):
                waiter()

    _waiters: list[Callable[[], None]] = field(default_factory=list)

    async def until_logged(self, text: str) -> str:
        """The first line of Envoy's log, now or later, that contains the text."""
        found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def look() -> None:
            for line in self.log:
                if text in line and not found.done():
                    found.set_result(line)

        look()
        self._waiters.append(look)
        try:
            return await asyncio.wait_for(found, self.patience)
        finally:
            self._waiters.remove(look)

    async def admin(self, path: str) -> Any:
        """The answer of Envoy's admin interface, as JSON or text."""
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "admin.sock"))
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
            text = (await reader.read()).decode()
        finally:
            writer.close()
        head, _, body = text.partition("\r\n\r\n")
        if "chunked" in head.lower():
            body = dechunked(body)
        return json.loads(body) if "json" in path else body

    def set_hosts(self, name: str, instances: Iterable[Instance | str], health: str = "HEALTHY") -> None:
        """Set the endpoints of a revision, all with that health."""
        addresses = [each if isinstance(each, str) else each.address for each in instances]
        endpoints = [{"endpoint": {"address": address_of(host)}, "health_status": health} for host in addresses]
        assignment = {
            "@type": TYPE + "envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": f"default/{name}",
            "endpoints": [{"lb_endpoints": endpoints}, {"priority": 1, "lb_endpoints": [NOWHERE]}],
        }
        write(self.folder / "eds" / f"{name}.json", {"resources": [assignment]})

    def set_clusters(self, revisions: Mapping[str, JsonObject | None]) -> None:
        """Set the clusters."""
        clusters = [self.cluster(name, settings) for name, settings in revisions.items()]
        write(self.folder / "cds.json", {"resources": clusters})

    def cluster(self, name: str, settings: JsonObject | None) -> JsonObject:
        path = self.folder / "eds"
        watched = {"path": str(path / f"{name}.json"), "watched_directory": {"path": str(path)}}
        limits = {"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 1_000_000}
        return {
            "@type": TYPE + "envoy.config.cluster.v3.Cluster",
            "name": f"default/{name}",
            "type": "EDS",
            "connect_timeout": "1s",
            "eds_cluster_config": {"eds_config": {"path_config_source": watched}},
            "circuit_breakers": {"thresholds": [{**limits, "max_retries": 100_000}]},
            **({} if settings is None else gated(settings)),
            **self.upstream,
        }

    def bootstrap(self) -> JsonObject:
        http = {
            "@type": TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "gateway",
            "codec_type": "AUTO",
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "route_config": {
                "virtual_hosts": [self.virtual_host(name) for name in self.revisions],
                "validate_clusters": False,  # the clusters come later, from a file
            },
            **({"local_reply_config": json_format.MessageToDict(build_replies())} if self.has_gate() else {}),
            "http_filters": [*self.gate_filter(), {"name": "router", "typed_config": self.router()}],
        }
        listener = {
            "name": "http",
            "address": address_of("127.0.0.1:0"),
            "filter_chains": [{"filters": [{"name": "http", "typed_config": http}]}],
        }
        watched = {"path": str(self.folder / "cds.json"), "watched_directory": {"path": str(self.folder)}}
        return {
            "node": {"id": "gateway", "cluster": "gateway"},
            "admin": {"address": {"pipe": {"path": str(self.folder / "admin.sock")}}},
            "dynamic_resources": {"cds_config": {"path_config_source": watched}},
            "static_resources": {"listeners": [listener]},
        }

    def virtual_host(self, name: str) -> JsonObject:
        retry = {
            "retry_on": "connect-failure,refused-stream",
            "num_retries": self.retries,
            "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
        }
        route: JsonObject = {"cluster": f"default/{name}", "timeout": "0s", "host_rewrite_literal": "rewritten"}
        if self.retries:
            route["retry_policy"] = retry
        late = {**route, "timeout": f"{LATE}s"}
        routes = [{"match": {"prefix": path}, "route": to} for path, to in (("/late/", late), ("/", route))]
        return {"name": name, "domains": [name], "routes": routes}

    def has_gate(self) -> bool:
        return any(settings is not None for settings in self.revisions.values())

    def router(self) -> JsonObject:
        """With the gate, Envoy does not count the answers of clusters, like in `tidegate/xds/module.py`."""
        return {"@type": TYPE + ROUTER, **({"dynamic_stats": False} if self.has_gate() else {})}

    def gate_filter(self) -> list[JsonObject]:
        if not self.has_gate():
            return []
        config = {"socket": str(self.reports.path)} if self.filter_config is None else self.filter_config
        typed = {
            "@type": TYPE + "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {"name": "gate"},
            "filter_name": "gate",
            "filter_config": text_value(config),
        }
        return [{"name": "gate", "typed_config": typed}]


ROUTER = "envoy.extensions.filters.http.router.v3.Router"


def gated(settings: JsonObject) -> JsonObject:
    """The gate's part of a cluster."""
    return {
        "load_balancing_policy": {"policies": [gate_policy(settings)]},
        "transport_socket": json_format.MessageToDict(gate_socket()),
    }


def gate_policy(settings: JsonObject) -> JsonObject:
    config = {
        "@type": TYPE + "envoy.extensions.load_balancing_policies.dynamic_modules.v3.DynamicModulesLoadBalancerConfig",
        "dynamic_module_config": {"name": "gate"},
        "lb_policy_name": "gate",
        "lb_policy_config": text_value(settings),
    }
    return {"typed_extension_config": {"name": "gate", "typed_config": config}}


def text_value(config: JsonObject) -> JsonObject:
    return {"@type": TYPE + "google.protobuf.StringValue", "value": json.dumps(config)}


def address_of(host: str) -> JsonObject:
    address, _, port = host.rpartition(":")
    return {"socket_address": {"address": address, "port_value": int(port)}}


# The host of a stream that cannot start again while no instance is free: nothing listens there.
NOWHERE = {"endpoint": {"address": address_of("127.0.0.1:1")}}


def write(path: Path, value: JsonObject) -> None:
    """Write the file atomically, for Envoy's file watch."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value))
    fresh.replace(path)


def dechunked(body: str) -> str:
    text = ""
    while body:
        size, _, body = body.partition("\r\n")
        text += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return text


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def reason(self) -> str:
        """The reason word of an answer that is not the app's."""
        return self.body.partition("(reason: ")[2].partition(",")[0]


class Client:
    """One HTTP/1.1 connection to the gateway. `abort` ends it at once."""

    def __init__(self, port: int, host: str) -> None:
        self.port = port
        self.host = host

    async def __aenter__(self) -> "Client":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def abort(self) -> None:
        self.writer.transport.abort()

    async def get(self, path: str = "/") -> Answer:
        self.send(path)
        return await self.answer()

    async def post(self, path: str, body: bytes) -> Answer:
        self.send(path, body)
        return await self.answer()

    def send(self, path: str, body: bytes | None = None, headers: str = "") -> None:
        size = "" if body is None else f"content-length: {len(body)}\r\n"
        method = "GET" if body is None else "POST"
        self.writer.write(f"{method} {path} HTTP/1.1\r\nhost: {self.host}\r\n{size}{headers}\r\n".encode())
        if body:
            self.writer.write(body)

    async def answer(self) -> Answer:
        """Read an answer. Raises IncompleteReadError or ConnectionError if the connection ends first."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while (size := int(await self.reader.readuntil(b"\r\n"), 16)) > 0:
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        elif "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(lines[0].split(" ")[1]), headers, body.decode())


async def get(gateway: Gateway, name: str, path: str = "/") -> Answer:
    """One request on a new connection."""
    async with Client(gateway.port, name) as client:
        return await client.get(path)
