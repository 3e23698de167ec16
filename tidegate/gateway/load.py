# SPDX-License-Identifier: Apache-2.0
"""The load at instances and gateways, as the gates report it.

In: packets of the gates (`report_socket.py`). Out: each report as a `LoadReport` to `on_report`, at once; the id of a
gateway that got SIGTERM to `on_leaving`. Called by: the instances controller for idle instances (`load_of`), the node
agent before it ends an instance (`drained`), and the supervisor of the Envoys before it ends one (`idle`).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import structlog

from tidegate.gateway import report_socket
from tidegate.model.load import Counters, LoadReport
from tidegate.model.objects import Key

DRAIN_SECONDS = 1.0
"""How long a gate has to stop listing an instance, once Envoy has acknowledged endpoints without it."""

_log = structlog.get_logger("load")


class _Revision(Counters, frozen=True, kw_only=True, rename="camel"):
    name: Annotated[str, msgspec.Meta(pattern="^[^/]+/[^/]+$")]
    silent: tuple[str, ...] = ()


class _Packet(msgspec.Struct):
    gateway: str
    time: float
    revisions: list[_Revision]
    leaving: bool = False


_decoder = msgspec.json.Decoder(_Packet)


@dataclass(slots=True)
class _Gateway:
    """The last reports of one connection, by revision: requests at each instance, whether any request runs or waits,
    and instances that do not respond."""

    name: str = ""
    hosts: dict[Key, Mapping[str, int]] = field(default_factory=dict)
    busy: set[Key] = field(default_factory=set)
    silent: dict[Key, frozenset[str]] = field(default_factory=dict)


class Load:
    """The load at all gateways.

    `withdrawn` returns once Envoy has acknowledged endpoints in which the instance gets nothing new. `drain_seconds`:
    see `drained`.
    """

    def __init__(
        self,
        path: Path,
        on_report: Callable[[LoadReport], None],
        withdrawn: Callable[[Key, str], Awaitable[None]],
        on_leaving: Callable[[str], None],
        *,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._path = path
        self._on_report = on_report
        self._withdrawn = withdrawn
        self._on_leaving = on_leaving
        self._drain_seconds = drain_seconds
        self._gateways: dict[int, _Gateway] = {}  # by connection
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Listen and read until cancelled."""
        await report_socket.serve(self._path, self)

    def load_of(self, revision: Key) -> Mapping[str, int]:
        """The revision's requests at instances, by "ip:port", over all gateways."""
        total: Counter[str] = Counter()
        for gateway in self._gateways.values():
            total.update(gateway.hosts.get(revision, {}))
        return total

    async def drained(self, revision: Key, address: str) -> None:
        """Return once no gateway has a request at that instance, whose Pod is being deleted, and none will send one.

        A gate lists an instance while one of Envoy's workers may choose it or it has requests, and reports at once when
        that ends. So an instance that is not listed has drained. If no gate reports that in time (none is connected, or
        the instance is listed for another reason), it is enough that no gateway has a request there.
        """
        await self._withdrawn(revision, address)
        try:
            async with asyncio.timeout(self._drain_seconds):
                await self._until(lambda: bool(self._gateways) and not any(self._listings(revision, address)))
        except TimeoutError:
            await self._until(lambda: sum(hosts[address] for hosts in self._listings(revision, address)) == 0)

    async def all_idle(self) -> None:
        """Return once no request runs or waits at any gateway."""
        await self._until(lambda: not any(each.busy for each in self._gateways.values()))

    async def idle(self, gateway: str) -> None:
        """Return once no request runs or waits at that gateway."""
        await self._until(lambda: not any(each.busy for each in self._gateways.values() if each.name == gateway))

    def receive(self, connection: int, packet: bytes) -> None:
        """Take in a packet of a gate."""
        decoded = _decoder.decode(packet)
        gateway = self._gateways.setdefault(connection, _Gateway())
        gateway.name = decoded.gateway
        for revision in decoded.revisions:
            report = _report(decoded, revision)
            if report.hosts:
                gateway.hosts[report.revision] = report.hosts
            else:
                gateway.hosts.pop(report.revision, None)
            if report.in_flight or report.queued:
                gateway.busy.add(report.revision)
            else:
                gateway.busy.discard(report.revision)
            _note_silent(gateway, report.revision, frozenset(revision.silent))
            self._on_report(report)
        if decoded.leaving:
            self._on_leaving(decoded.gateway)
        self._changed.set()

    def closed(self, connection: int) -> None:
        """Forget a gate whose connection is closed."""
        self._gateways.pop(connection, None)
        self._changed.set()

    def _listings(self, revision: Key, address: str) -> Iterator[Mapping[str, int]]:
        """Of each gateway that lists the instance, the requests at the revision's instances."""
        for gateway in self._gateways.values():
            if address in gateway.hosts.get(revision, {}):
                yield gateway.hosts[revision]

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()


def _note_silent(gateway: _Gateway, revision: Key, silent: frozenset[str]) -> None:
    """Log which instances get no more requests from a gateway because they do not respond, and which respond again."""
    before = gateway.silent.get(revision, frozenset())
    for address in before ^ silent:
        event = "instance responds again" if address in before else "instance does not respond"
        _log.warning(event, revision=str(revision), instance=address)
    if silent:
        gateway.silent[revision] = silent
    else:
        gateway.silent.pop(revision, None)


def _report(packet: _Packet, revision: _Revision) -> LoadReport:
    namespace, _, name = revision.name.partition("/")
    counters = {field: getattr(revision, field) for field in Counters.__struct_fields__}
    return LoadReport(revision=Key(namespace, name), gateway=packet.gateway, time=packet.time, **counters)
