# SPDX-License-Identifier: Apache-2.0
"""Supervises one Envoy: starts, adopts and restarts it, and replaces it without losing a request.

In: an `EnvoySpec`. Out: a process that outlives the control plane, and its record. Called by: `envoys.py`.

| the process | what happens |
| --- | --- |
| ends | the next one starts at once, later if that keeps happening; its connections are lost |
| gets SIGTERM, or its specification has changed | a new one takes over (`handover.py`), and it retires |
| retires | it accepts no connections, and ends once it has no requests, after 10 minutes at the latest |

SIGTERM is blocked in the process. The gate receives it, and asks the control plane for a successor (gate/reporter.cc).
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import structlog

from tidegate.gateway.envoys import handover, launch
from tidegate.gateway.envoys.handover import Generation
from tidegate.gateway.envoys.launch import EnvoyProcess
from tidegate.gateway.envoys.processes import GRACE_SECONDS
from tidegate.gateway.envoys.record import EnvoyRecord, read_record, write_record
from tidegate.gateway.envoys.spec import EnvoySpec
from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock
from tidegate.kit.processes import Process

IDLE_SECONDS = 10.0
"""How long a retiring Envoy waits for more requests on its connections; longer than `handover.LINKED_SECONDS`."""

_RAPID_SECONDS = 10.0  # an Envoy that ends sooner is started again with a delay
_POLL_SECONDS = 0.1
_RECORD_SECONDS = 1.0  # until a record that could not be written is tried again
_REQUEST_SECONDS = 600.0  # how long a retiring Envoy waits for requests: the longest `timeoutSeconds` of Knative
_log = structlog.get_logger("envoy")

OnEnded = Callable[[str], None]
"""Called with the id of a gateway whose process has ended."""

UntilIdle = Callable[[str], Coroutine[Any, Any, None]]
"""Returns once the gateway of that id has no requests."""


class Envoy:
    """The Envoy of one folder."""

    def __init__(self, spec: EnvoySpec, clock: Clock) -> None:
        spec.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.spec = spec
        self._current: EnvoyProcess | None = None
        self._retiring: list[EnvoyProcess] = []
        self._replacement_wanted = asyncio.Event()
        self._unrecorded = asyncio.Event()
        self._clock = clock
        self._backoff = Backoff(first=0.1, limit=30.0)
        self._hands_over = handover.is_possible(spec.handover_sockets)
        self._fingerprint = spec.fingerprint()

    @property
    def process(self) -> Process | None:
        """The process that accepts connections."""
        return self._current.process if self._current is not None else None

    @property
    def processes(self) -> list[Process]:
        """That process, and earlier ones that have yet to end."""
        return [each.process for each in self._all()]

    def adopt(self, running: Mapping[Process, str]) -> None:
        """Take over the recorded process, if it runs. If its specification has changed, it is replaced when it can hand
        over; otherwise it is not adopted, and `envoys.py` ends it."""
        record = read_record(self.spec.folder)
        if record is None or record.process not in running:
            return
        if record.fingerprint != self._fingerprint:
            if record.generation is None or not self._hands_over:
                return
            self._replacement_wanted.set()
        ours = {each.process: each for each in self._all()}
        current = EnvoyProcess(record.process, running[record.process], record.generation)
        self._current = ours.get(current.process, current)
        self._retiring = [
            ours.get(each, EnvoyProcess(each, running[each])) for each in record.retiring if each in running
        ]
        self._record()
        _log.info("envoy adopted", pid=record.process.pid)

    def replace(self, gateway: str) -> None:
        """Have another process take over, if the process that serves has that id."""
        if self._current is not None and self._current.gateway == gateway:
            self._replacement_wanted.set()

    async def run(self, on_ended: OnEnded, until_idle: UntilIdle) -> None:
        """Start it, restart it whenever it ends, and replace it when asked, until cancelled."""
        async with asyncio.TaskGroup() as group:

            def retire(old: EnvoyProcess) -> None:
                group.create_task(self._retire(old, on_ended, until_idle), name=f"envoy {old.process.pid} retires")

            group.create_task(self._record_again(), name=f"record of envoy {self.spec.number}")
            for old in self._retiring:
                retire(old)
            while True:
                current = self._current or self._start_new_line()
                began = self._clock.monotonic()
                if await self._until_replaced(current) and current.generation is not None:
                    self._retiring.append(current)
                    self._start(current.generation.next())
                    retire(current)
                    continue
                self.reap()
                delay = self._delay(self._clock.monotonic() - began)
                log = launch.log_tail(self.spec.folder)
                _log.error("envoy ended", pid=current.process.pid, restart_in=delay, log=log)
                on_ended(current.gateway)
                await self._clock.sleep(delay)

    def reap(self) -> None:
        """Forget the current process, and collect the exit status of every process that has ended."""
        for each in self._all():
            if not each.process.alive:
                each.reap()
        self._current = None

    def _all(self) -> list[EnvoyProcess]:
        return [each for each in (self._current, *self._retiring) if each is not None]

    async def _until_replaced(self, current: EnvoyProcess) -> bool:
        """Return True once the process serves and is to hand over, False once it has ended. A process that is to be
        replaced but does not serve is ended, unless it is itself about to take over."""
        while await first(current.process.ended(), self._replacement_wanted.wait()) == 1:
            self._replacement_wanted.clear()
            can = current.generation is not None
            if can and (await handover.serves(self.spec.admin_socket, current.gateway) or self._retiring):
                return await self._serves(current)
            await current.process.end(GRACE_SECONDS, signal.SIGINT)
        return False

    async def _serves(self, process: EnvoyProcess) -> bool:
        """Return True once the process accepts connections, False once it has ended."""
        while process.process.alive:
            if await handover.serves(self.spec.admin_socket, process.gateway):
                return True
            await self._clock.sleep(_POLL_SECONDS)
        return False

    async def _retire(self, old: EnvoyProcess, on_ended: OnEnded, until_idle: UntilIdle) -> None:
        """End a process once its successor serves and it has no requests."""
        _log.info("envoy hands over", pid=old.process.pid)
        if await first(old.process.ended(), self._successor_serves()) == 0:
            self._give_up_successor(old)
        await first(old.process.ended(), self._clock.sleep(IDLE_SECONDS))
        await first(old.process.ended(), until_idle(old.gateway), self._clock.sleep(_REQUEST_SECONDS))
        await old.process.end(GRACE_SECONDS, signal.SIGINT)
        old.reap()
        self._retiring.remove(old)
        self._record()
        on_ended(old.gateway)

    async def _successor_serves(self) -> None:
        while self._current is None or not await self._serves(self._current):
            await self._clock.sleep(_POLL_SECONDS)

    def _give_up_successor(self, old: EnvoyProcess) -> None:
        """End a successor that has not taken over yet: it waits for the process that has just ended."""
        current = self._current
        if current is not None and old.generation is not None and current.generation == old.generation.next():
            current.process.signal(signal.SIGKILL)

    def _start_new_line(self) -> EnvoyProcess:
        """Start a process that takes over from no other."""
        record = read_record(self.spec.folder)
        if record is not None and record.generation is not None:
            record.generation.clear()
        handover.clear_sockets(self.spec.handover_sockets)
        return self._start(Generation.first() if self._hands_over else None)

    def _start(self, generation: Generation | None) -> EnvoyProcess:
        self._current = launch.launch(self.spec, generation)
        self._record()
        _log.info("envoy started", pid=self._current.process.pid)
        return self._current

    def _record(self) -> None:
        if self._current is None:
            return
        retiring = tuple(each.process for each in self._retiring)
        record = EnvoyRecord(
            self._current.process, *self.spec.ports, self._fingerprint, self._current.generation, retiring
        )
        if record == read_record(self.spec.folder):
            return
        try:
            write_record(self.spec.folder, record)
        except OSError as error:  # e.g. a full disk, which must not stop requests
            _log.warning("envoy cannot be recorded yet", pid=record.process.pid, error=str(error))
            self._unrecorded.set()

    async def _record_again(self) -> None:
        """Write the record again, whenever it could not be written."""
        while await self._unrecorded.wait():
            await self._clock.sleep(_RECORD_SECONDS)
            self._unrecorded.clear()
            self._record()

    def _delay(self, lived: float) -> float:
        """Seconds until the next start."""
        if lived < _RAPID_SECONDS:
            return self._backoff.next(self.spec.folder)
        self._backoff.forget(self.spec.folder)
        return 0.0


async def first(*waits: Awaitable[Any]) -> int:
    """Wait until the first of these returns. Return its position."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(number for number, task in enumerate(tasks) if task.done())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
