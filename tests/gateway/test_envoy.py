# SPDX-License-Identifier: Apache-2.0
"""Start, adopt and end a real Envoy. Without a management server Envoy waits for one."""

import asyncio
import contextlib
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from harness.waiting import eventually
from tests.disk import Disk, small_disk
from tidegate.gateway import module
from tidegate.gateway.envoys import launch, processes, spec
from tidegate.gateway.envoys.envoys import Envoys, EnvoySockets
from tidegate.gateway.envoys.ports import EnvoyError, EnvoyPorts
from tidegate.gateway.envoys.processes import running
from tidegate.gateway.envoys.record import read_record
from tidegate.kit.clock import RealClock
from tidegate.kit.processes import Process

__all__ = ["small_disk"]


@dataclass
class World:
    """One state folder, and all supervisors that were built for it."""

    folder: Path
    sockets: Path
    supervisors: list[Envoys] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def envoy(self, http_port: int = 0, https_port: int = 0, internal_port: int = 0, *, count: int = 1) -> Envoys:
        made = Envoys(
            self.folder,
            EnvoySockets(
                self.sockets / "xds.sock",
                tuple(self.sockets / name for name in ("admin.sock", "admin-2.sock", "admin-3.sock")[:count]),
            ),
            EnvoyPorts(http_port, https_port, internal_port),
            RealClock(),
        )
        self.supervisors.append(made)
        return self.supervisors[-1]

    @contextlib.asynccontextmanager
    async def supervised(self, http_port: int = 0, https_port: int = 0, *, count: int = 1) -> AsyncIterator[Envoys]:
        """`count` Envoys that run; the first answers. The supervisor ends afterwards and leaves them running."""
        supervisor = self.envoy(http_port, https_port, count=count)
        task = asyncio.create_task(supervisor.run(self.ended.append, idle))
        try:
            await eventually(lambda: all(envoy.process is not None for envoy in supervisor.envoys))
            await self.answers()
            yield supervisor
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def answers(self) -> None:
        """Return once Envoy's admin interface answers."""
        await eventually(lambda: self.admin("/server_info"))

    async def admin(self, path: str) -> str:
        """The response of the admin interface; "" if there is none."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.sockets / "admin.sock"))
        except (FileNotFoundError, ConnectionRefusedError):
            return ""
        writer.write(f"GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
        try:
            return (await reader.read()).decode()
        finally:
            writer.close()


async def idle(gateway: str) -> None:
    """No gateway has a request."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "gateway", tmp_path / "run")
    world.sockets.mkdir()
    yield world
    for supervisor in world.supervisors:
        await supervisor.stop()


async def test_envoy_runs_in_a_session_of_its_own_with_nothing_of_our_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    async with world.supervised() as supervisor:
        process = supervisor.envoys[0].process
        assert process is not None

        environment = Path(f"/proc/{process.pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
        session = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[3]
        assert sorted(environment) == [
            f"ENVOY_DYNAMIC_MODULES_SEARCH_PATH={module.GATE.path().parent}".encode(),
            b"PATH=/usr/bin:/bin",
            b"TIDEGATE_GATEWAY=" + os.fsencode(*world.envoy().gateways),
        ]
        assert int(session) == process.pid
        assert Path(f"/proc/{process.pid}/cwd").readlink() == world.folder
        assert stat.S_IMODE((world.sockets / "admin.sock").stat().st_mode) == 0o600
        record = read_record(world.folder)
        assert record is not None
        assert (record.process, record.http_port) == (process, supervisor.ports.http)


@pytest.mark.parametrize("content", ["", None], ids=["damaged", "not written"])
async def test_an_envoy_without_record_counts_as_serving(world: World, content: str | None) -> None:
    async with world.supervised(count=2) as supervisor:
        expected = [each.process for each in supervisor.envoys]
        assert processes.serving(world.folder) == expected

        record = world.folder / "record.json"
        record.unlink() if content is None else record.write_text(content)

        assert processes.serving(world.folder) == expected


async def test_the_next_supervisor_adopts_an_envoy_with_its_ports(world: World) -> None:
    async with world.supervised() as first:
        process = first.envoys[0].process
    async with world.supervised() as second:
        assert second.envoys[0].process == process
        assert second.ports[:2] == first.ports[:2]
    assert running(world.folder) == [process]


async def test_an_envoy_whose_specification_changed_is_replaced(world: World) -> None:
    async with world.supervised() as first:
        process = first.envoys[0].process
    record = world.folder / "record.json"
    recorded: dict[str, Any] = msgspec.json.decode(record.read_bytes())
    record.write_bytes(msgspec.json.encode({**recorded, "fingerprint": "of an older release"}))

    async with world.supervised() as second:
        await eventually(lambda: second.envoys[0].process not in (None, process))
        assert second.ports[:2] == first.ports[:2]
        assert running(world.folder) == [second.envoys[0].process]


async def test_several_envoys_are_adopted_each_with_its_id(world: World) -> None:
    async with world.supervised(count=3) as first:
        processes = [envoy.process for envoy in first.envoys]
    async with world.supervised(count=3) as second:
        assert [envoy.process for envoy in second.envoys] == processes
        assert second.ports == first.ports
        assert len(set(second.gateways)) == 3
    assert world.ended == []


async def test_a_killed_envoy_of_several_is_restarted_with_another_id(world: World) -> None:
    async with world.supervised(count=2) as supervisor:
        killed = supervisor.envoys[1].process
        assert killed is not None
        before = set(world.envoy(count=2).gateways)
        killed.signal(signal.SIGKILL)
        await eventually(lambda: supervisor.envoys[1].process not in (None, killed))

        assert set(world.ended) == before - set(world.envoy(count=2).gateways)
        assert len(world.ended) == 1


async def test_another_number_of_envoys_replaces_all(world: World) -> None:
    async with world.supervised(count=3):
        pass
    before = world.envoy().gateways
    async with world.supervised(count=1) as alone:
        await eventually(lambda: sorted(world.ended) == sorted(before))
        await eventually(lambda: running(world.folder) == [alone.envoys[0].process])


async def test_an_envoy_whose_record_was_never_written_is_replaced(world: World) -> None:
    async with world.supervised() as first:
        process = first.envoys[0].process
    (world.folder / "record.json").unlink()

    async with world.supervised() as second:
        assert running(world.folder) == [second.envoys[0].process] != [process]


async def test_the_ports_of_an_envoy_with_a_damaged_record_count_as_ours(world: World, used: int) -> None:
    async with world.supervised():
        pass
    (world.folder / "record.json").write_bytes(b"\xff garbage")

    assert world.envoy(used).ports.http == used


async def test_an_envoy_is_adopted_and_started_on_a_full_disk(
    world: World, small_disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "folder", small_disk.path / "gateway")
    async with world.supervised() as first:
        process = first.envoys[0].process
    small_disk.fill()
    try:
        async with world.supervised() as second:
            assert process is not None
            assert second.envoys[0].process == process
            process.signal(signal.SIGKILL)
            await eventually(lambda: second.envoys[0].process not in (None, process))
            await world.answers()
            assert processes.serving(world.folder) == second.envoys[0].processes

            small_disk.free()
            await eventually(lambda: (found := read_record(world.folder)) is not None and found.process != process)
    finally:
        small_disk.free()
        await processes.end(world.folder)


async def test_a_killed_envoy_is_restarted_with_the_same_ports(world: World) -> None:
    with capture_logs() as logs:
        async with world.supervised() as supervisor:
            ports = supervisor.ports.http, supervisor.ports.https
            killed = supervisor.envoys[0].process
            assert killed is not None
            killed.signal(signal.SIGKILL)
            await eventually(lambda: supervisor.envoys[0].process not in (None, killed))
            await world.answers()

            assert supervisor.ports[:2] == ports
            assert running(world.folder) == [supervisor.envoys[0].process]
    ended = [line for line in logs if line["event"] == "envoy ended"]
    assert [(line["pid"], line["restart_in"]) for line in ended] == [(killed.pid, 0.1)]


async def test_an_envoy_that_cannot_run_is_restarted_with_a_backoff_and_its_log_is_logged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spec, "bootstrap", lambda *_, **__: {"rubbish": True})
    with capture_logs() as logs:
        task = asyncio.create_task(world.envoy().run(world.ended.append, idle))
        await eventually(lambda: len([line for line in logs if line["event"] == "envoy ended"]) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    ended = [line for line in logs if line["event"] == "envoy ended"]
    assert [line["restart_in"] for line in ended] == [0.1, 0.2]
    assert "rubbish" in ended[0]["log"]


async def test_stop_leaves_no_process_and_keeps_the_ports_for_the_next_start(world: World) -> None:
    async with world.supervised() as supervisor:
        process = supervisor.envoys[0].process
    await supervisor.stop()

    assert process is not None
    assert not process.alive
    assert running(world.folder) == []
    assert supervisor.envoys[0].process is None
    again = world.envoy()
    assert again.ports[:2] == supervisor.ports[:2]


async def test_end_needs_no_supervisor(world: World) -> None:
    async with world.supervised():
        pass
    await processes.end(world.folder)

    assert running(world.folder) == []
    await processes.end(world.folder)


def test_a_missing_or_damaged_record_is_none(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    (tmp_path / "record.json").write_text('{"process": ')
    assert read_record(tmp_path) is None


@pytest.fixture
def used() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_fails_the_start_with_one_line(world: World, used: int) -> None:
    with pytest.raises(EnvoyError, match=rf"^cannot listen on port {used}: address already in use$"):
        world.envoy(http_port=used)


def test_a_port_cannot_be_used_twice(world: World) -> None:
    with pytest.raises(EnvoyError, match=r"^port 8080 is requested for both HTTP and HTTPS$"):
        world.envoy(8080, 8080)
    with pytest.raises(EnvoyError, match=r"^port 8080 is requested for both HTTPS and internal HTTP$"):
        world.envoy(0, 8080, 8080)


def test_a_port_of_the_last_start_that_is_now_in_use_is_not_chosen(world: World, used: int) -> None:
    world.folder.mkdir()
    recorded = {"process": Process(1, 1), "http_port": used, "https_port": 0, "internal_port": used, "fingerprint": ""}
    (world.folder / "record.json").write_bytes(msgspec.json.encode(recorded))

    supervisor = world.envoy()

    ports = supervisor.ports.http, supervisor.ports.https, supervisor.ports.internal
    assert used not in ports
    assert len(set(ports)) == 3


def test_a_gate_for_another_envoy_fails_the_start_with_one_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABI", "v99")
    with pytest.raises(EnvoyError, match=r"^.* does not speak the dynamic-module ABI v99.*$"):
        world.envoy()


async def test_a_start_begins_a_new_log_if_the_log_is_large(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "LOG_BYTES", 3)
    world.folder.mkdir()
    (world.folder / "envoy.log").write_text("old log")

    async with world.supervised():
        assert (world.folder / "envoy.log.1").read_text() == "old log"
