# SPDX-License-Identifier: Apache-2.0
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tidegate.kit.clock import VirtualClock, settle
from tidegate.kit.supervision import Health, HealthState, Supervisor, reason


@asynccontextmanager
async def supervised(clock: VirtualClock) -> AsyncIterator[Supervisor]:
    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group, clock)
        yield supervisor
        supervisor.stop()


async def forever() -> None:
    await asyncio.Event().wait()


class Flawed:
    """A part that fails a few times and then keeps running."""

    def __init__(self, clock: VirtualClock, failures: int, lives: float = 0.0) -> None:
        self.clock = clock
        self.left = failures
        self.lives = lives
        self.starts: list[float] = []

    async def run(self) -> None:
        self.starts.append(self.clock.monotonic())
        if self.left:
            self.left -= 1
            await self.clock.sleep(self.lives)
            raise OSError(28, "No space left on device")
        await forever()


async def test_a_failed_part_restarts_after_a_growing_wait_while_others_continue() -> None:
    clock = VirtualClock(start=0.0)
    flawed, other = Flawed(clock, failures=7), Flawed(clock, failures=0)

    async with supervised(clock) as supervisor:
        supervisor.start(flawed=flawed.run, other=other.run)
        await clock.advance(200)

        assert flawed.starts == [0, 1, 3, 7, 15, 31, 61, 91]
        assert other.starts == [0]
        assert (supervisor.parts["flawed"].state, supervisor.parts["flawed"].restarts) == (HealthState.RUNNING, 7)
        assert supervisor.parts["flawed"].error == "no space left on device"
        assert (supervisor.parts["other"].restarts, supervisor.parts["other"].error) == (0, "")


async def test_a_part_waiting_for_its_restart_is_reported_as_restarting() -> None:
    clock = VirtualClock()
    async with supervised(clock) as supervisor:
        supervisor.start(load_reports=Flawed(clock, failures=1).run)
        await clock.advance(0)

        part = supervisor.parts["load reports"]
        assert (part.state, part.since) == (HealthState.RESTARTING, clock.wall())


async def test_a_minute_of_running_resets_the_restart_wait() -> None:
    clock = VirtualClock(start=0.0)
    flawed = Flawed(clock, failures=3, lives=60.0)

    async with supervised(clock) as supervisor:
        supervisor.start(flawed=flawed.run)
        await clock.advance(200)

    assert flawed.starts == [0, 61, 122, 183]


async def returns() -> None:
    return


async def cancels_itself() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(("part", "error"), [(returns, "it ended by itself"), (cancels_itself, "CancelledError")])
async def test_a_part_that_returns_has_failed(part: object, error: str) -> None:
    clock = VirtualClock()
    async with supervised(clock) as supervisor:
        supervisor.start(part=part)  # type: ignore[arg-type]
        await settle()

        assert (supervisor.parts["part"].state, supervisor.parts["part"].error) == (HealthState.RESTARTING, error)


async def test_a_failed_round_of_periodic_work_is_retried_sooner() -> None:
    clock = VirtualClock(start=0.0)
    rounds: list[float] = []
    states: list[HealthState] = []

    async def work() -> None:
        rounds.append(clock.monotonic())
        states.append(supervisor.parts["work"].state)
        if len(rounds) in (2, 3):
            raise OSError(28, "No space left on device")

    async with supervised(clock) as supervisor:
        supervisor.every(60, work=work)
        await clock.advance(130)

    assert rounds == [0, 60, 61, 63, 123]
    assert states == [
        HealthState.RUNNING,
        HealthState.RUNNING,
        HealthState.FAILING,
        HealthState.FAILING,
        HealthState.RUNNING,
    ]
    assert (supervisor.parts["work"].restarts, supervisor.parts["work"].error) == (0, "no space left on device")


async def test_a_recovered_part_keeps_its_last_error() -> None:
    clock = VirtualClock()
    health = Health("store", clock)
    began = clock.wall()

    health.failed(OSError(28, "No space left on device"))
    await clock.advance(5)
    health.failed(OSError(28, "No space left on device"))
    assert (health.state, health.since) == (HealthState.FAILING, began)

    health.recovered()
    assert (health.state, health.error) == (HealthState.RUNNING, "no space left on device")
    assert health.since == clock.wall()


def test_the_reason_of_a_group_is_its_first_failure_in_one_line() -> None:
    group = ExceptionGroup("unhandled", [ExceptionGroup("inner", [ValueError("first\nsecond line")]), KeyError("k")])

    assert reason(group) == "first"
    assert reason(KeyError("k")) == "KeyError 'k'"
    assert reason(TimeoutError()) == "TimeoutError"
    assert reason(OSError(28, "No space left on device", "/state/x")) == "no space left on device: /state/x"
