# SPDX-License-Identifier: Apache-2.0
"""Supervision of long-lived parts of a process: each runs, restarts with backoff after a failure, and has a
`Health`.

In: coroutine functions that run until they are cancelled, by name. Out: a `Health` of each, for `tidegate status`,
/metrics and the log. Called by: `embedded.py`. A failure ends only the part itself, so it must be able to run
again.

| the part | its state | then |
| --- | --- | --- |
| runs | running | |
| raises, or returns, which a part that runs for good must not | restarting | runs again after 1 s, doubling to 30 s |
| is done every few seconds, and one round fails | failing | has its next round, after a failure at the latest in 30 s |
| reports that something it does fails | failing | continues by itself |

A part that has run for a minute starts over with a wait of 1 s.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum

import structlog

from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock, RealClock

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
STEADY = 60.0
_log = structlog.get_logger("parts")

RunPart = Callable[[], Awaitable[None]]


class HealthState(StrEnum):
    RUNNING = "running"
    FAILING = "failing"
    RESTARTING = "restarting"


class Ended(Exception):
    """A part returned although it should run until it is cancelled."""


class Health:
    """The state of one part. A part that continues after a failure calls `failed` and `recovered` itself, any
    number of times: only a change is logged."""

    def __init__(self, name: str, clock: Clock | None = None) -> None:
        self.name = name
        self.state = HealthState.RUNNING
        self.restarts = 0
        self.error = ""
        """The last failure, also after it has passed; "" if there was none."""
        self._clock = clock or RealClock()
        self.since: datetime = self._clock.wall()
        """When it came into this state."""

    def failed(self, error: BaseException) -> None:
        """An operation of the part fails; it keeps retrying."""
        text = reason(error)
        if self.state is not HealthState.FAILING or text != self.error:
            fault = None if isinstance(error, OSError) else error  # of what the machine lacks, the text says all
            _log.error("part is failing", part=self.name, error=text, exc_info=fault)
        self._turn(HealthState.FAILING, text)

    def recovered(self) -> None:
        """The operation works again."""
        if self.state is not HealthState.RUNNING:
            _log.info("part has recovered", part=self.name)
            self._turn(HealthState.RUNNING, self.error)

    def restarting(self, error: BaseException) -> None:
        """The part has ended, and will run again."""
        self._turn(HealthState.RESTARTING, reason(error))

    def restarted(self) -> None:
        """The part runs again."""
        self.restarts += 1
        self._turn(HealthState.RUNNING, self.error)

    def _turn(self, state: HealthState, error: str) -> None:
        if state is not self.state:
            self.since = self._clock.wall()
        self.state, self.error = state, error


class Supervisor:
    """Keeps parts running as tasks of `group` until `stop`. `parts`: their health by name."""

    def __init__(
        self, group: asyncio.TaskGroup, clock: Clock | None = None, parts: dict[str, Health] | None = None
    ) -> None:
        self._group = group
        self._clock = clock or RealClock()
        self._backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        self._tasks: list[asyncio.Task[None]] = []
        self.parts = parts if parts is not None else {}

    def start(self, **parts: RunPart) -> None:
        """Run each of these until `stop`; a name has its words joined by underscores."""
        for name, run in parts.items():
            self.keep(name.replace("_", " "), run)

    def keep(self, name: str, run: RunPart) -> None:
        """Run one part until `stop`."""
        part = self.watch(Health(name, self._clock))
        self._tasks.append(self._group.create_task(self._keep(part, run), name=name))

    def every(self, seconds: float, **parts: RunPart) -> None:
        """Call each of these every `seconds` seconds until `stop`; a failed round is retried."""
        for name, work in parts.items():
            part = self.watch(Health(name.replace("_", " "), self._clock))
            self._tasks.append(self._group.create_task(self._repeat(part, work, seconds), name=part.name))

    def watch(self, part: Health) -> Health:
        """Include a part that reports for itself."""
        self.parts[part.name] = part
        return part

    def stop(self) -> None:
        """Cancel every part."""
        for task in self._tasks:
            task.cancel()

    async def stopped(self) -> None:
        """Return once every part has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, part: Health, run: RunPart) -> None:
        while True:
            began = self._clock.monotonic()
            error = await _life(run)
            if self._clock.monotonic() - began >= STEADY:
                self._backoff.forget(part.name)
            delay = self._backoff.next(part.name)
            part.restarting(error)
            _log.error("part failed", part=part.name, error=part.error, restart_in=delay, exc_info=error)
            await self._clock.sleep(delay)
            part.restarted()

    async def _repeat(self, part: Health, work: RunPart, seconds: float) -> None:
        while True:
            delay = seconds
            try:
                await work()
            except (Exception, SystemExit) as error:  # as in `_life`
                part.failed(error)
                delay = min(self._backoff.next(part.name), seconds)
            else:
                part.recovered()
                self._backoff.forget(part.name)
            await self._clock.sleep(delay)


async def _life(run: RunPart) -> BaseException:
    """Run a part once; why it ended."""
    try:
        await run()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return error  # something within was cancelled by nobody who may stop the part
    except (Exception, SystemExit) as error:  # no error of one part may end the other parts
        return error
    return Ended("it ended by itself")


def reason(error: BaseException) -> str:
    """The first failure in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.strerror:
        where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        return f"{error.strerror.lower()}{where}"
    text = str(error).partition("\n")[0]
    return text if text and not isinstance(error, KeyError) else f"{type(error).__name__} {text}".strip()
