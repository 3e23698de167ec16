# SPDX-License-Identifier: Apache-2.0
"""The Envoy processes of one state folder: which there are, on which ports, and their end.

In: a folder for their files, the sockets, and the ports asked for. Out: one Envoy with the gate or several
(`single.py`), each in a session of its own, that outlive whoever started them. Several listen on the same ports, and
the kernel spreads the connections over them. Records in their folders and their command lines say whose they are: `up`
adopts those that are what would be started now, has those replaced that can hand over, and ends any other.

Who: `embedded.py` (`Envoys`), `tidegate status` (`serving`), `tidegate down` without a control plane (`end`).
"""

import asyncio
import os
import random
import signal
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tidegate.gateway import module
from tidegate.gateway.single import BINARY, BOOTSTRAP, GRACE_SECONDS, Ended, Envoy, Idle, Ports, Record, read_record
from tidegate.kit.clock import Clock, RealClock
from tidegate.kit.native import NativeError
from tidegate.kit.processes import Process

ACCESS_LOG = Path("access.log")  # of each, in its own folder, where it runs
_LOWEST_PORT = 10_000  # of those picked here: below the kernel's own for outgoing connections, and above the known ones
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class EnvoyError(Exception):
    """Envoy cannot be started; the message is one line for whoever tried."""


def living(folder: Path) -> list[Record]:
    """The records of those Envoys that live."""
    processes = _running(folder)
    return [record for record in _records(folder) if record.process in processes]


def serving(folder: Path) -> list[Process]:
    """Those that run and do not retire, also one that is not recorded yet, as on a full disk; by their ids."""
    retiring = {process for record in _records(folder) for process in record.retiring}
    there = _running(folder)
    return [process for process in sorted(there, key=there.__getitem__) if process not in retiring]


async def end(folder: Path) -> None:
    """End what runs of that folder: SIGINT, and SIGKILL after 5 seconds."""
    await _end(running(folder))
    for record in _records(folder):
        if record.generation is not None:
            record.generation.clear()


async def _end(processes: Iterable[Process]) -> None:
    await asyncio.gather(*[process.end(GRACE_SECONDS, signal.SIGINT) for process in processes])


def _records(folder: Path) -> list[Record]:
    records = map(read_record, [folder, *sorted(folder.glob("[0-9]*"))])
    return [record for record in records if record is not None]


def running(folder: Path) -> list[Process]:
    """Every Envoy of that folder."""
    return list(_running(folder))


def _running(folder: Path) -> dict[Process, str]:
    """Every Envoy of that folder and those in it, and its id, by its command line, so that one counts which was killed
    off its record."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
        if arguments[0].endswith(b"/envoy") and arguments[1:2] == [b"-c"]:
            bootstrap_file = Path(os.fsdecode(arguments[2]))
            process = Process.of(int(entry.name))
            if bootstrap_file.name == BOOTSTRAP and folder.absolute() in bootstrap_file.parents[:2] and process:
                found[process] = os.fsdecode(arguments[-2])  # the last is empty
    return found


class Envoys:
    """The Envoys of a control plane: one for each admin socket. `run` keeps them there, and leaves them running when
    cancelled; `stop` ends them. The first has its files in `folder`, the others in folders 2, 3, ... in it.

    Made from the ports that are asked for; 0 is a free one, and the same one again at the next start. What would make a
    start fail is an EnvoyError here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        xds_socket: Path,
        admin_sockets: Sequence[Path],
        http_port: int,
        https_port: int,
        internal_port: int,
        clock: Clock | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._before = _running(self._folder)
        asked = {"HTTP": http_port, "HTTPS": https_port, "internal HTTP": internal_port}
        last = read_record(self._folder)
        self.ports = Ports(*_ports(asked, self._taken(set(asked.values())), last))
        library = _gate()
        self.envoys = [
            Envoy(
                self._folder / str(number) if number > 1 else self._folder,
                number=number,
                of=len(admin_sockets),
                ports=self.ports,
                library=library,
                xds_socket=xds_socket.absolute(),
                admin_socket=admin_socket.absolute(),
                clock=clock or RealClock(),
            )
            for number, admin_socket in enumerate(admin_sockets, start=1)
        ]

    def _taken(self, asked: set[int]) -> set[int]:
        """The ports that an Envoy of ours has. Of one whose record is lost that may be any, and it is ended."""
        known = next(iter(living(self._folder)), None)
        if known is not None:
            return set(known.ports)
        return asked if self._before else set()

    async def run(self, ended: Ended, idle: Idle) -> None:
        """Adopt or start them, and keep them running until cancelled. `ended`: called with the id of every process that
        has ended; `idle` returns once that of an id has no requests."""
        there = _running(self._folder)
        for envoy in self.envoys:
            envoy.adopt(there)
        adopted = [process for envoy in self.envoys for process in envoy.processes]
        await _end(each for each in there if each not in adopted)
        for process, gateway in (self._before | there).items():
            if process not in adopted:
                ended(gateway)
        async with asyncio.TaskGroup() as group:
            for envoy in self.envoys:
                group.create_task(envoy.run(ended, idle), name=f"envoy {envoy.number}")

    def replace(self, gateway: str) -> None:
        """Have another process take over from the one of that id, without losing a request."""
        for envoy in self.envoys:
            envoy.replace(gateway)

    @property
    def gateways(self) -> Collection[str]:
        """The ids of those that were there before."""
        return self._before.values()

    @property
    def access_logs(self) -> dict[Path, Path]:
        """Where each writes its access log, if it does, and its admin socket."""
        return {each.folder / ACCESS_LOG: each.admin_socket for each in self.envoys}

    async def stop(self) -> None:
        """End them: SIGINT, and SIGKILL after 5 seconds. Not while `run` runs, which would start them again."""
        await end(self._folder)
        for envoy in self.envoys:
            envoy.reap()


def _gate() -> Path:
    try:
        library = module.GATE.path()
        module.check(BINARY)
    except (NativeError, OSError) as error:
        raise EnvoyError(str(error).partition("\n")[0]) from error
    return library


def _ports(asked: Mapping[str, int], ours: set[int], last: Record | None) -> Iterator[int]:
    """The port to use for each of those asked for, by its use. `ours`: what a living Envoy of ours has."""
    before = last.ports if last is not None else (0,) * len(asked)
    uses = {port: use for use, port in asked.items() if port}
    for (use, port), previous in zip(asked.items(), before, strict=True):
        if uses.get(port, use) != use:
            raise EnvoyError(f"port {port} is asked for both {use} and {uses[port]}")
        chosen = _port(port, previous, ours, without=uses)
        uses[chosen] = use
        yield chosen


def _port(asked: int, before: int, ours: set[int], *, without: Collection[int]) -> int:
    if asked:
        reason = "" if asked in ours else _refusal(asked)
        if reason:
            raise EnvoyError(f"cannot listen on port {asked}: {reason}")
        return asked
    if before and before not in without and (before in ours or not _refusal(before)):
        return before
    end = int(_PORT_RANGE.read_text().split()[0])
    candidates = range(_LOWEST_PORT, end if end > _LOWEST_PORT + 1000 else 60_000)
    for port in random.sample(candidates, 1000):
        if port not in without and not _refusal(port):
            return port
    raise EnvoyError("found no free port")


def _refusal(port: int) -> str:
    """Why one cannot listen on that port; "" if one can."""
    dual = socket.has_dualstack_ipv6()
    try:
        socket.create_server(
            ("", port), family=socket.AF_INET6 if dual else socket.AF_INET, dualstack_ipv6=dual
        ).close()
    except OSError as error:
        return os.strerror(error.errno or 0).lower()
    return ""
