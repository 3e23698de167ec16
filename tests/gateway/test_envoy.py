# SPDX-License-Identifier: Apache-2.0
"""Starting, adopting and ending a real Envoy. No management server is there: Envoy then waits for one."""

import asyncio
import contextlib
import signal
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from tidegate.gateway import envoy, module
from tidegate.gateway.envoy import Envoy, EnvoyError, read_record, running
from tidegate.kit.processes import Process


@dataclass
class World:
    """One state folder and the supervisors that were ever made for it."""

    folder: Path
    sockets: Path
    supervisors: list[Envoy] = field(default_factory=list)

    def envoy(self, http_port: int = 0, https_port: int = 0, internal_port: int = 0) -> Envoy:
        made = Envoy(
            self.folder,
            xds_socket=self.sockets / "xds.sock",
            admin_socket=self.sockets / "admin.sock",
            http_port=http_port,
            https_port=https_port,
            internal_port=internal_port,
        )
        self.supervisors.append(made)
        return self.supervisors[-1]

    @contextlib.asynccontextmanager
    async def supervised(self, http_port: int = 0, https_port: int = 0) -> AsyncIterator[Envoy]:
        """An Envoy that runs and answers; the supervisor ends afterwards and leaves it."""
        supervisor = self.envoy(http_port, https_port)
        task = asyncio.create_task(supervisor.run())
        try:
            await until(lambda: supervisor.process is not None)
            await self.answers()
            yield supervisor
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def answers(self) -> None:
        """Returns once Envoy's admin interface does."""
        async with asyncio.timeout(10):
            while not await self.admin("/server_info"):
                await asyncio.sleep(0.01)

    async def admin(self, path: str) -> str:
        """What the admin interface answers; "" where there is none."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.sockets / "admin.sock"))
        except (FileNotFoundError, ConnectionRefusedError):
            return ""
        writer.write(f"GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
        try:
            return (await reader.read()).decode()
        finally:
            writer.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)


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
        process = supervisor.process
        assert process is not None

        environment = Path(f"/proc/{process.pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
        session = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[3]
        assert sorted(environment) == [
            f"ENVOY_DYNAMIC_MODULES_SEARCH_PATH={module.path().parent}".encode(),
            b"PATH=/usr/bin:/bin",
        ]
        assert int(session) == process.pid
        assert stat.S_IMODE((world.sockets / "admin.sock").stat().st_mode) == 0o600
        record = read_record(world.folder)
        assert record is not None
        assert (record.process, record.http_port) == (process, supervisor.http_port)


async def test_the_next_supervisor_adopts_it_with_its_ports(world: World) -> None:
    async with world.supervised() as first:
        process = first.process
    async with world.supervised() as second:
        assert second.process == process
        assert (second.http_port, second.https_port) == (first.http_port, first.https_port)
    assert running(world.folder) == [process]


async def test_an_envoy_that_would_be_started_otherwise_now_is_replaced(world: World) -> None:
    async with world.supervised() as first:
        process = first.process
    record = world.folder / "record.json"
    told: dict[str, Any] = msgspec.json.decode(record.read_bytes())
    record.write_bytes(msgspec.json.encode({**told, "fingerprint": "of an older release"}))

    async with world.supervised() as second:
        assert second.process != process
        assert (second.http_port, second.https_port) == (first.http_port, first.https_port)
        assert running(world.folder) == [second.process]


async def test_an_envoy_whose_record_was_never_written_is_replaced(world: World) -> None:
    async with world.supervised() as first:
        process = first.process
    (world.folder / "record.json").unlink()

    async with world.supervised() as second:
        assert running(world.folder) == [second.process] != [process]


async def test_a_killed_envoy_comes_back_with_the_same_ports(world: World) -> None:
    with capture_logs() as logs:
        async with world.supervised() as supervisor:
            ports = supervisor.http_port, supervisor.https_port
            killed = supervisor.process
            assert killed is not None
            killed.signal(signal.SIGKILL)
            await until(lambda: supervisor.process not in (None, killed))
            await world.answers()

            assert (supervisor.http_port, supervisor.https_port) == ports
            assert running(world.folder) == [supervisor.process]
    ended = [line for line in logs if line["event"] == "envoy ended"]
    assert [(line["pid"], line["restart_in"]) for line in ended] == [(killed.pid, 0.1)]


async def test_an_envoy_that_cannot_run_is_tried_again_with_a_backoff_and_told_with_its_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy, "bootstrap", lambda *_, **__: {"rubbish": True})
    with capture_logs() as logs:
        task = asyncio.create_task(world.envoy().run())
        await until(lambda: len([line for line in logs if line["event"] == "envoy ended"]) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    ended = [line for line in logs if line["event"] == "envoy ended"]
    assert [line["restart_in"] for line in ended] == [0.1, 0.2]
    assert "rubbish" in ended[0]["log"]


async def test_stop_leaves_no_process_and_keeps_the_ports_for_the_next_start(world: World) -> None:
    async with world.supervised() as supervisor:
        process = supervisor.process
    await supervisor.stop()

    assert process is not None
    assert not process.alive
    assert running(world.folder) == []
    assert supervisor.process is None
    again = world.envoy()
    assert (again.http_port, again.https_port) == (supervisor.http_port, supervisor.https_port)


async def test_end_needs_no_supervisor(world: World) -> None:
    async with world.supervised():
        pass
    await envoy.end(world.folder)

    assert running(world.folder) == []
    await envoy.end(world.folder)


def test_a_record_that_is_of_no_use_is_none(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    (tmp_path / "record.json").write_text('{"process": ')
    assert read_record(tmp_path) is None


@pytest.fixture
def used() -> Iterator[int]:
    """A port on which someone else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_one_line_and_no_start(world: World, used: int) -> None:
    with pytest.raises(EnvoyError, match=rf"^cannot listen on port {used}: address already in use$"):
        world.envoy(http_port=used)


def test_one_port_does_not_do_for_both(world: World) -> None:
    with pytest.raises(EnvoyError, match=r"^port 8080 is asked for both HTTP and HTTPS$"):
        world.envoy(8080, 8080)
    with pytest.raises(EnvoyError, match=r"^port 8080 is asked for both HTTPS and internal HTTP$"):
        world.envoy(0, 8080, 8080)


def test_a_remembered_port_that_someone_else_has_now_is_given_up(world: World, used: int) -> None:
    world.folder.mkdir()
    told = {"process": Process(1, 1), "http_port": used, "https_port": 0, "internal_port": used, "fingerprint": ""}
    (world.folder / "record.json").write_bytes(msgspec.json.encode(told))

    supervisor = world.envoy()

    ports = supervisor.http_port, supervisor.https_port, supervisor.internal_port
    assert used not in ports
    assert len(set(ports)) == 3


def test_a_gate_that_does_not_fit_is_told_in_one_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABI", "v99")
    with pytest.raises(EnvoyError, match=r"^.* does not speak the dynamic-module ABI v99.*$"):
        world.envoy()


def test_a_large_log_makes_way_for_a_new_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "_LOG_BYTES", 3)
    supervisor = world.envoy()
    (world.folder / "envoy.log").write_text("old log")

    supervisor._start()

    assert (world.folder / "envoy.log.1").read_text() == "old log"
