# SPDX-License-Identifier: Apache-2.0
"""The load that the gates tell of.

In: packets of the gates in any number of Envoys, over a SOCK_SEQPACKET Unix socket, one JSON object a packet
(`gate/report.cc`). Out: every report, at once, as a `LoadReport` to `on_report`; what was last said of each host; and
to `leaving`, which gateway somebody wants to end.

Who asks: the instances controller for idle instances (`in_flight`), the node agent before it ends one (`drained`), and
the Envoys' supervisor before it ends one of those (`idle`).
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import structlog

from tidegate.model.load import Latency, LoadReport, Mirrored, Share
from tidegate.model.objects import Key

_PACKET = 128 * 1024  # bytes; the gate sends half of that at most
_log = structlog.get_logger("load")


class _Mirrored(msgspec.Struct):
    requests: int
    responses: dict[int, int]
    refused: dict[str, int]


class _Revision(msgspec.Struct, rename="camel"):
    name: Annotated[str, msgspec.Meta(pattern="^[^/]+/[^/]+$")]
    in_flight: int
    queued: int
    requests: int
    concurrency_seconds: float
    queue_seconds: float
    responses: dict[int, int]
    refused: dict[str, int]
    hosts: dict[str, int]
    request_latency: Latency
    app_request_latency: Latency
    mirrored: _Mirrored | None = None
    shares: dict[str, Share] | None = None
    silent: list[str] = []


class _Packet(msgspec.Struct):
    gateway: str
    time: float
    revisions: list[_Revision]
    leaving: bool = False


_decoder = msgspec.json.Decoder(_Packet)


@dataclass(slots=True)
class _Gateway:
    """What the gate of one connection said last: of the hosts of each revision, and which revisions have requests."""

    name: str = ""
    hosts: dict[Key, Mapping[str, int]] = field(default_factory=dict)
    busy: set[Key] = field(default_factory=set)


class Load:
    """The control plane's end of the gates' socket.

    `withdrawn` returns once Envoy has acknowledged endpoints in which the host gets nothing new. `patience`: seconds
    that a gate has after that to say the same, see `drained`.
    """

    def __init__(
        self,
        path: Path,
        on_report: Callable[[LoadReport], None],
        withdrawn: Callable[[Key, str], Awaitable[None]],
        leaving: Callable[[str], None],
        *,
        patience: float = 1.0,
    ) -> None:
        self._path = path
        self._on_report = on_report
        self._withdrawn = withdrawn
        self._leaving = leaving
        self._patience = patience
        self._gateways: dict[int, _Gateway] = {}  # by connection
        self._silent: dict[int, set[tuple[Key, str]]] = {}  # by connection: hosts that do not answer
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Listen and read until cancelled."""
        loop = asyncio.get_running_loop()
        with _listening(self._path) as listener:
            async with asyncio.TaskGroup() as group:
                while True:
                    connection, _ = await loop.sock_accept(listener)
                    reading = group.create_task(self._read(connection), name="load connection")
                    reading.add_done_callback(partial(_close, connection))  # also of one that never began

    def in_flight(self, revision: Key) -> Mapping[str, int]:
        """The revision's requests at instances, by "ip:port", over all gateways."""
        total: Counter[str] = Counter()
        for gateway in self._gateways.values():
            total.update(gateway.hosts.get(revision, {}))
        return total

    async def drained(self, revision: Key, address: str) -> None:
        """Return once no gateway has a request at that host and none will send it one. Its Pod is being deleted.

        A gate lists a host as long as one of Envoy's workers may choose it or it has requests, and reports at once when
        that ends. So a host that is not listed is done with. Where no gate says so in time (none is connected, or the
        host is listed for another reason), it must do that none has a request there.
        """
        await self._withdrawn(revision, address)
        try:
            async with asyncio.timeout(self._patience):
                await self._until(lambda: bool(self._gateways) and not any(self._listings(revision, address)))
        except TimeoutError:
            await self._until(lambda: sum(hosts[address] for hosts in self._listings(revision, address)) == 0)

    async def idle(self, gateway: str) -> None:
        """Return once no request runs or waits at that gateway."""
        await self._until(lambda: not any(each.busy for each in self._gateways.values() if each.name == gateway))

    def _listings(self, revision: Key, address: str) -> Iterator[Mapping[str, int]]:
        """What the gateways that list the host say of its revision's hosts."""
        for gateway in self._gateways.values():
            if address in gateway.hosts.get(revision, {}):
                yield gateway.hosts[revision]

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._news.clear()
            await self._news.wait()

    async def _read(self, connection: socket.socket) -> None:
        """All that one gateway says, to its end."""
        loop = asyncio.get_running_loop()
        number = connection.fileno()
        connection.setblocking(False)
        rubbish = False
        try:
            while packet := await loop.sock_recv(connection, _PACKET):
                try:
                    self._take(number, _decoder.decode(packet))
                except msgspec.DecodeError as error:  # also of a packet that is longer than we read
                    if not rubbish:
                        _log.warning("a gateway sends what is no report", error=str(error))
                    rubbish = True
        except ConnectionResetError:
            pass  # an end like another
        finally:
            self._gateways.pop(number, None)
            self._silent.pop(number, None)
            self._news.set()

    def _take(self, number: int, packet: _Packet) -> None:
        gateway = self._gateways.setdefault(number, _Gateway())
        gateway.name = packet.gateway
        for revision in packet.revisions:
            report = _report(packet, revision)
            if report.hosts:
                gateway.hosts[report.revision] = report.hosts
            else:
                gateway.hosts.pop(report.revision, None)
            if report.in_flight or report.queued:
                gateway.busy.add(report.revision)
            else:
                gateway.busy.discard(report.revision)
            self._note_silent(number, report.revision, revision.silent)
            self._on_report(report)
        if packet.leaving:
            self._leaving(packet.gateway)
        self._news.set()

    def _note_silent(self, number: int, revision: Key, hosts: list[str]) -> None:
        """Log which instances get no more requests from a gateway since they do not answer, and which answer again."""
        known = self._silent.setdefault(number, set())
        before = {address for name, address in known if name == revision}
        for address in before.symmetric_difference(hosts):
            change = "an instance answers again" if address in before else "an instance does not answer"
            _log.warning(change, revision=str(revision), instance=address)
            known ^= {(revision, address)}


def _close(connection: socket.socket, _: asyncio.Task[None]) -> None:
    connection.close()


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.setblocking(False)
        listener.bind(str(path))
        path.chmod(0o600)  # before `listen`, so that no one else is ever let in
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _report(packet: _Packet, revision: _Revision) -> LoadReport:
    namespace, _, name = revision.name.partition("/")
    copies = revision.mirrored
    return LoadReport(
        revision=Key(namespace, name),
        gateway=packet.gateway,
        time=packet.time,
        in_flight=revision.in_flight,
        queued=revision.queued,
        requests=revision.requests,
        concurrency_seconds=revision.concurrency_seconds,
        queue_seconds=revision.queue_seconds,
        responses=revision.responses,
        refused=revision.refused,
        hosts=revision.hosts,
        request_latency=revision.request_latency,
        app_request_latency=revision.app_request_latency,
        mirrored=Mirrored(copies.requests, copies.responses, copies.refused) if copies is not None else Mirrored(),
        shares=revision.shares,
    )
