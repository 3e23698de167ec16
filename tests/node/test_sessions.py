# SPDX-License-Identifier: Apache-2.0
"""Sessions with real processes: programs, terminals, attach, ports; and instances that take none."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.node import LISTENS, World, is_ready, node, pod, python, waiting
from harness.waiting import eventually
from tidegate.kit.processes import Process
from tidegate.model import errors, names
from tidegate.model.kinds import POD
from tidegate.model.objects import Key, Object
from tidegate.model.sessions import SessionOptions, TerminalSize
from tidegate.node.status import StandbyState

ALL = SessionOptions(stdin=True, stdout=True, stderr=True)


class Client:
    """A client in memory. `takes`: how many bytes of output it takes; then it has left."""

    def __init__(self, given: bytes = b"", *, takes: int = 2**40) -> None:
        self.output, self.errors = b"", b""
        self.sizes: asyncio.Queue[TerminalSize] = asyncio.Queue()
        self.input: asyncio.Queue[bytes] = asyncio.Queue()
        self._takes = takes
        for start in range(0, len(given), 65536):
            self.input.put_nowait(given[start : start + 65536])

    async def read(self) -> bytes:
        return await self.input.get()

    async def write(self, data: bytes, *, is_error: bool = False) -> None:
        if is_error:
            self.errors += data
        else:
            self.output += data
        if len(self.output) > self._takes:
            raise ConnectionResetError

    async def resized(self) -> TerminalSize:
        return await self.sizes.get()

    async def shown(self, text: bytes) -> None:
        await eventually(lambda: text in self.output, f"{text!r} in the output")


def options(*command: str, **changes: bool) -> SessionOptions:
    return SessionOptions(**{"stdin": True, "stdout": True, "stderr": True, **changes}, command=command)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with node(tmp_path) as world:
        yield world


@pytest.fixture
async def app(world: World) -> Object:
    await world.create(pod("app", *python(LISTENS)))
    return await world.ready("app")


async def execute(world: World, app: Object, client: Client, asked: SessionOptions) -> int:
    return await asyncio.wait_for(world.node.sessions.execute(app, "user-container", asked, client), 20)


async def test_a_program_gets_all_input_and_its_output_is_complete(world: World, app: Object) -> None:
    content = os.urandom(3_000_000)
    client = Client(content)
    client.input.put_nowait(b"")
    assert await execute(world, app, client, options("cat")) == 0
    assert client.output == content


async def test_output_and_errors_are_apart_and_the_exit_code_is_the_programs(world: World, app: Object) -> None:
    client = Client()
    assert await execute(world, app, client, options("sh", "-c", "echo out; echo err >&2; exit 9")) == 9
    assert (client.output, client.errors) == (b"out\n", b"err\n")


async def test_output_that_nobody_wants_is_dropped(world: World, app: Object) -> None:
    client = Client()
    assert await execute(world, app, client, options("sh", "-c", "echo a; echo b >&2", stdout=False)) == 0
    assert (client.output, client.errors) == (b"", b"b\n")


async def test_a_session_ends_with_its_program_also_if_that_leaves_others(world: World, app: Object) -> None:
    client = Client()
    assert await execute(world, app, client, options("sh", "-c", "sleep 300 & echo $!")) == 0
    left = Process.of(int(client.output))
    assert left is not None
    left.signal(signal.SIGKILL)


async def test_input_that_a_program_does_not_take_does_not_keep_the_session(world: World, app: Object) -> None:
    client = Client(bytes(1_000_000))
    assert await execute(world, app, client, options("true")) == 0
    assert await execute(world, app, Client(bytes(1_000_000)), options("sh", "-c", "exec <&-; sleep 0.1; exit 4")) == 4


async def test_a_terminal_has_the_size_of_the_client_and_passes_signals_on(world: World, app: Object) -> None:
    client = Client()
    client.sizes.put_nowait(TerminalSize(99, 44))
    script = "until stty size | grep -q 44; do sleep 0.01; done; echo ready; trap 'echo caught; exit 3' INT; cat"
    session = asyncio.create_task(execute(world, app, client, options("sh", "-c", script, tty=True)))
    await client.shown(b"ready")
    client.input.put_nowait(b"typed\n")
    await client.shown(b"typed\r\ntyped\r\n")
    client.input.put_nowait(b"\x03")
    assert await session == 3
    assert b"caught" in client.output


async def test_the_end_of_the_input_is_the_end_of_a_terminals_input(world: World, app: Object) -> None:
    client = Client(b"line\n")
    client.input.put_nowait(b"")
    assert await execute(world, app, client, options("cat", tty=True)) == 0


async def test_a_program_is_killed_when_its_client_leaves(world: World, app: Object) -> None:
    client = Client(takes=100_000)
    with pytest.raises(ConnectionError):
        await execute(world, app, client, options("sh", "-c", "yes"))
    session = asyncio.create_task(execute(world, app, (other := Client()), options("sh", "-c", "echo $$; sleep 300")))
    await other.shown(b"\n")
    process = Process.of(int(other.output))
    session.cancel()
    await asyncio.gather(session, return_exceptions=True)
    assert process is None or not process.alive


async def test_a_deleted_instance_ends_its_sessions(world: World, app: Object) -> None:
    client = Client()
    session = asyncio.create_task(execute(world, app, client, options("sh", "-c", "echo on; sleep 300")))
    await client.shown(b"on")
    await world.cluster.delete(POD, Key("default", "app"), grace_seconds=0)
    assert await session == 137


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_many_sessions_leave_no_files_and_no_processes(world: World, app: Object) -> None:
    async def one(number: int) -> None:
        client = Client()
        assert await execute(world, app, client, options("sh", "-c", f"echo {number}")) == 0
        assert client.output == b"%d\n" % number

    await one(0)
    before = open_files()
    for start in range(0, 40, 8):
        await asyncio.gather(*map(one, range(start, start + 8)))
    assert open_files() == before


async def test_attach_shows_the_output_from_now_on_until_the_run_ends(world: World) -> None:
    await world.create(pod("app", "sh", "-c", "echo before; sleep 1; echo after"))
    app = await world.until("app", lambda obj: obj.get("status", {}).get("phase") == "Running")
    await eventually(
        lambda: (world.folder / "instances" / app["metadata"]["uid"] / "user-container.log").stat().st_size, "output"
    )
    client = Client()
    await asyncio.wait_for(world.node.sessions.attach(app, "user-container", ALL, client), 20)
    assert client.output == b"after\n"


async def test_only_ports_of_the_instance_are_reached(world: World, app: Object) -> None:
    with await world.node.sessions.connect(app, 8080) as connection:  # the port of its spec
        assert await asyncio.get_running_loop().sock_recv(connection, 1) == b""
    port = int(app["metadata"]["annotations"][names.PORT])
    (await world.node.sessions.connect(app, port)).close()
    refused = pytest.raises(ConnectionRefusedError, match=f"does not listen there; ports: {port}")
    with socket.create_server(("127.0.0.1", 0)) as foreign, refused:
        await world.node.sessions.connect(app, foreign.getsockname()[1])


async def test_an_instance_on_standby_takes_no_session_and_one_with_a_session_is_not_frozen(
    world: World, app: Object
) -> None:
    client = Client()
    session = asyncio.create_task(execute(world, app, client, options("cat")))
    client.input.put_nowait(b"x")
    await client.shown(b"x")
    standby = {"metadata": {"labels": {names.STANDBY: "true"}}}
    await world.cluster.patch(POD, Key("default", "app"), standby)
    instance = world.agent.instances[Key("default", "app")]
    await eventually(lambda: instance.standby.state is StandbyState.WANTED, "standby is wanted")
    client.input.put_nowait(b"y")
    await client.shown(b"xy")
    client.input.put_nowait(b"")
    assert await session == 0
    await eventually(lambda: instance.standby.state is StandbyState.FROZEN, "it is frozen")
    with pytest.raises(errors.BadRequest, match="is on standby"):
        world.node.sessions.require(app, "user-container")


async def test_a_container_that_does_not_run_takes_no_session(world: World, app: Object) -> None:
    await world.create(pod("missing", "nothing-of-that-name"))
    missing = await world.until("missing", lambda obj: bool(waiting(obj)))
    other = {**app, "metadata": {**app["metadata"], "uid": "x"}}
    for refused, message in ((missing, "does not run"), (other, "this node")):
        with pytest.raises(errors.BadRequest, match=message):
            world.node.sessions.require(refused, "user-container")
    assert is_ready(app)
