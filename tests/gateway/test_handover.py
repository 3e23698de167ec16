# SPDX-License-Identifier: Apache-2.0
"""A real Envoy that takes over from another under load: no request fails, and no instance gets more than it may."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from harness import make
from harness.gate import Answer, Instance, instances
from harness.gateway import PATIENCE, World, world
from harness.waiting import eventually
from tidegate.gateway.envoys import envoy, handover
from tidegate.gateway.envoys.envoys import Envoys, EnvoySockets
from tidegate.gateway.envoys.ports import EnvoyPorts
from tidegate.gateway.envoys.processes import running
from tidegate.gateway.envoys.record import read_record
from tidegate.kit.processes import Process
from tidegate.model.objects import Object

HOST = "hello.example.com"


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(envoy, "IDLE_SECONDS", handover.LINKED_SECONDS + 1.0)
    async with world(tmp_path) as made:
        yield made
        for supervisor in made.supervisors:
            await supervisor.stop()


@contextlib.asynccontextmanager
async def supervised(gateway: World) -> AsyncIterator[Envoys]:
    """A supervised Envoy. It continues when the supervisor ends."""
    envoys = Envoys(
        gateway.folder / "gateway",
        EnvoySockets(gateway.folder / "xds.sock", (gateway.folder / "admin.sock",)),
        EnvoyPorts(gateway.port, gateway.https_port, gateway.internal_port),
        gateway.clock,
    )
    gateway.leaving = envoys.replace
    gateway.supervisors.append(envoys)
    supervisor = asyncio.create_task(envoys.run(gateway.publisher.sharing.ended, gateway.load.idle))
    try:
        yield envoys
    finally:
        supervisor.cancel()
        await asyncio.gather(supervisor, return_exceptions=True)


async def served(gateway: World, app: Instance, concurrency: int = 0) -> Object:
    """A revision with one instance that answers, in an Envoy that has reported: before, SIGTERM would just end
    Envoy."""
    revision = make.revision(spec=make.template(containerConcurrency=concurrency)["spec"])
    await gateway.apply(revision, make.ingress())
    await gateway.run_at(revision, app)
    await gateway.ready("hello")
    assert (await gateway.get(HOST)).body == app.address
    await gateway.until_report(revision["metadata"]["name"], lambda report: True)
    return revision


@contextlib.asynccontextmanager
async def under_load(gateway: World) -> AsyncIterator[None]:
    """Send requests without pause, on persistent and on new connections. Every response must be 200."""
    ended = asyncio.Event()

    async def stay() -> int:
        answers = 0
        while not ended.is_set():
            async with gateway.client(HOST) as client:
                is_open = True
                while is_open and not ended.is_set():
                    answer = await client.get("/work/0.001")
                    assert answer.status == 200, answer
                    is_open = answer.headers.get("connection") != "close"
                    answers += 1
        return answers

    async def come_and_go() -> int:
        answers = 0
        while not ended.is_set():
            assert (await gateway.get(HOST)).status == 200
            answers += 1
        return answers

    asking = [asyncio.create_task(kind()) for kind in (stay, come_and_go) for _ in range(8)]
    try:
        yield
    finally:
        ended.set()
    assert all(await asyncio.gather(*asking))


async def taken_over(gateway: World, envoys: Envoys, before: Process | None) -> Process:
    """The process that has taken over, once the one before it has ended."""
    (only,) = envoys.envoys
    await eventually(lambda: only.process != before and running(gateway.folder / "gateway") == [only.process])
    process = only.process
    assert process is not None
    return process


async def answer(gateway: World) -> Answer:
    """The first response of an Envoy that starts."""

    async def ask() -> Answer | None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            return await gateway.get(HOST)
        return None

    return await eventually(ask)


async def test_an_envoy_that_gets_sigterm_hands_over_and_no_request_fails(gateway: World) -> None:
    async with supervised(gateway) as envoys, instances(1) as (app,):
        await served(gateway, app)
        async with under_load(gateway):
            for _ in range(3):
                before = envoys.envoys[0].process
                assert before is not None
                before.signal(signal.SIGTERM)
                await taken_over(gateway, envoys, before)


async def test_an_envoy_whose_specification_changed_hands_over_and_no_request_fails(gateway: World) -> None:
    async with instances(1) as (app,):
        async with supervised(gateway) as envoys:
            await served(gateway, app)
            before = envoys.envoys[0].process
        record = gateway.folder / "gateway" / "record.json"
        recorded = msgspec.json.decode(record.read_bytes())
        record.write_bytes(msgspec.json.encode({**recorded, "fingerprint": "of an older release"}))

        async with under_load(gateway), supervised(gateway) as envoys:
            await taken_over(gateway, envoys, before)


async def test_container_concurrency_holds_over_both_processes(gateway: World) -> None:
    async with supervised(gateway) as envoys, instances(1) as (app,):
        await served(gateway, app, concurrency=2)
        async with under_load(gateway):
            before = envoys.envoys[0].process
            assert before is not None
            before.signal(signal.SIGTERM)
            await taken_over(gateway, envoys, before)
        assert app.most == 2


async def test_a_long_request_and_a_websocket_stay_with_the_old_process(gateway: World) -> None:
    async with supervised(gateway) as envoys, instances(1) as (app,):
        await served(gateway, app)
        async with gateway.client(HOST) as long, gateway.client(HOST) as socket:
            long.send("/stream/3")
            socket.send("/", headers="connection: upgrade\r\nupgrade: websocket\r\n")
            assert (await socket.answer()).status == 101
            before = envoys.envoys[0].process
            assert before is not None
            before.signal(signal.SIGTERM)
            await eventually(lambda: envoys.envoys[0].process != before)

            assert (await long.answer()).body == "ok end"
            socket.writer.write(b"still there")
            assert await socket.reader.readexactly(11) == b"still there"
            assert before.alive
        await taken_over(gateway, envoys, before)


async def test_an_envoy_that_is_killed_just_after_it_took_over_is_restarted(gateway: World) -> None:
    async with supervised(gateway) as envoys, instances(1) as (app,):
        await served(gateway, app)
        before = envoys.envoys[0].process
        assert before is not None
        before.signal(signal.SIGTERM)
        killed = await taken_over(gateway, envoys, before)
        killed.signal(signal.SIGKILL)
        await taken_over(gateway, envoys, killed)
        assert (await answer(gateway)).body == app.address


async def test_a_successor_that_is_not_ready_is_given_up_when_the_old_process_dies(gateway: World) -> None:
    async with supervised(gateway) as envoys, instances(1) as (app,):
        await served(gateway, app)
        before = envoys.envoys[0].process
        assert before is not None
        before.signal(signal.SIGTERM)
        await eventually(lambda: envoys.envoys[0].process != before)
        successor = envoys.envoys[0].process
        before.signal(signal.SIGKILL)
        await taken_over(gateway, envoys, successor)
        assert (await answer(gateway)).body == app.address


async def test_sigterm_ends_an_envoy_while_no_control_plane_runs(gateway: World) -> None:
    async with instances(1) as (app,):
        async with supervised(gateway) as envoys:
            await served(gateway, app)
            process = envoys.envoys[0].process
            assert process is not None
        await gateway.stop()
        try:
            process.signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                await process.ended()
        finally:
            await gateway.start()


async def test_no_shared_memory_is_left_once_all_processes_have_ended(gateway: World) -> None:
    async with supervised(gateway) as envoys, instances(1) as (app,):
        await served(gateway, app)
        record = read_record(gateway.folder / "gateway")
        assert record is not None
        assert record.generation is not None
        memory = Path("/dev/shm") / f"envoy_shared_memory_{record.generation.line}0"
        assert memory.exists()
    await envoys.stop()
    assert not memory.exists()
