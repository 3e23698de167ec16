# SPDX-License-Identifier: Apache-2.0
"""Only the instance listens on its port, from before it is ready until no gateway sends there any more."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.node import LISTENS, container, is_ready, node, pod, python
from harness.waiting import eventually
from tests.node.test_advice import free_port
from tests.node.virtual import virtual
from tidegate.kit.processes import Process
from tidegate.model import names
from tidegate.model.objects import Key, Object, annotations
from tidegate.model.pods import awaited, endpoint
from tidegate.node.runtimes import sockets
from tidegate.node.runtimes.process import sweep
from tidegate.node.runtimes.process.listening import ProcessListening
from tidegate.node.runtimes.process.sweep import Member

STRANGER = 65533
TRIES_TO_TAKE = """
import os, socket, sys
os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for option in (None, socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        taker = socket.socket(family)
        if option:
            taker.setsockopt(socket.SOL_SOCKET, option, 1)
        if family is socket.AF_INET6:
            taker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            taker.bind((host, int(sys.argv[1])))
            taker.listen()
            print("taken", flush=True)
            sys.stdin.read()
        except OSError:
            taker.close()
print("refused", flush=True)
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="to be another user takes root")


@contextmanager
def stranger(port: int, user: int = STRANGER) -> Iterator[str]:
    """Another user's program that takes the port in every way there is: "taken" or "refused"."""
    command = [sys.executable, "-c", TRIES_TO_TAKE, str(port), str(user)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait()


def port_of(obj: Object) -> int:
    return int(annotations(obj)[names.PORT])


def leader_of(obj: Object) -> int:
    return int(container(obj)["containerID"].removeprefix("process://").partition(".")[0])


WAITS = "import os, time\nwhile not os.path.exists(os.environ['GO']): time.sleep(0.005)\n"
KEEPS_TRYING = (
    WAITS
    + """
import socket
while True:
    try:
        server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
        break
    except OSError:
        time.sleep(0.01)
while True:
    server.accept()[0].close()
"""
)


@as_root
async def test_an_instance_whose_port_another_user_has_is_not_ready_and_says_so(tmp_path: Path) -> None:
    go = tmp_path / "go"
    announced: list[str | None] = []
    async with node(tmp_path, announce=lambda pod, address: announced.append(address)) as world:
        await world.create(pod("robbed", *python(KEEPS_TRYING), env=[{"name": "GO", "value": str(go)}]))
        bound = await world.until("robbed", lambda obj: names.PORT in annotations(obj))
        with stranger(port_of(bound)) as answer:
            assert answer == "taken"
            go.touch()
            obj = await world.until("robbed", lambda obj: bool(awaited(obj)))
            assert f"another program listens there (user {STRANGER}), not the app" in awaited(obj)
            assert announced == []
        assert is_ready(await world.ready("robbed"))


FORKS = """
import os, socket, time
server = socket.create_server((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])))
if os.fork():
    server.close()
    while True:
        time.sleep(1)
while True:
    server.accept()[0].close()
"""
CHILD_LISTENS = """
import os, signal, socket
if os.fork():
    signal.pause()
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    server.accept()[0].close()
"""
DAEMON = """
import os, socket
if os.fork():
    os.waitpid(-1, 0)
    import signal
    signal.pause()
if os.fork():
    os._exit(0)
server = socket.create_server(("", int(os.environ["PORT"])))
while True:
    server.accept()[0].close()
"""
DUAL = """
import os, socket
server = socket.create_server(("::", int(os.environ["PORT"])), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    server.accept()[0].close()
"""
SHARED = """
import os, socket
def listen():
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(("0.0.0.0", int(os.environ["PORT"])))
    server.listen()
    return server
first = listen()
os.fork()
second = listen()
while True:
    second.accept()[0].close()
"""


LINE = """
import os, signal, socket
for _ in range(300):
    if os.fork():
        signal.pause()
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
print(flush=True)
while True:
    server.accept()[0].close()
"""


@pytest.mark.parametrize("script", [FORKS, DAEMON, DUAL, SHARED], ids=["a child", "a daemon", "[::]", "SO_REUSEPORT"])
async def test_an_instance_may_listen_by_any_of_its_processes_and_on_any_address(tmp_path: Path, script: str) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("forks", *python(script)))
        assert is_ready(await world.ready("forks"))


async def test_a_long_line_of_children_is_searched_to_its_end(request: pytest.FixtureRequest) -> None:
    """An app may fork as often as it is let; the stack is as deep as it is."""
    port = free_port()
    command = [sys.executable, "-c", LINE]
    first = subprocess.Popen(command, env={"PORT": str(port)}, stdout=subprocess.PIPE, start_new_session=True)
    assert first.stdout is not None
    try:
        await asyncio.to_thread(first.stdout.readline)
        leader = Process.of(first.pid)
        assert leader is not None
        usual = sys.getrecursionlimit()
        request.addfinalizer(lambda: sys.setrecursionlimit(usual))
        sys.setrecursionlimit(300)
        assert await ProcessListening(leader, _members_of(first.pid)).problem(port) is None
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        first.stdout.close()


def _members_of(session: int) -> Callable[[], Awaitable[Sequence[Member]]]:
    async def members() -> Sequence[Member]:
        leader = Process.of(session)
        return sweep.find(Path("/nowhere"), {"pod/c": leader}).get("pod/c", []) if leader is not None else []

    return members


@as_root
async def test_no_other_program_gets_the_port_of_a_dead_instance_while_gateways_send_there(
    tmp_path: Path,
) -> None:
    asked, withdrawn = asyncio.Event(), asyncio.Event()

    async def drained(revision: Key, where: str) -> None:
        asked.set()
        await withdrawn.wait()

    announced: list[str | None] = []
    async with node(tmp_path, announce=lambda pod, address: announced.append(address), drained=drained) as world:
        await world.create(pod("dies", *python(LISTENS)))
        ready = await world.ready("dies")
        os.kill(leader_of(ready), signal.SIGKILL)
        await asked.wait()

        assert announced == [endpoint(ready), None]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(ready)))
        with stranger(port_of(ready)) as answer:
            assert answer == "refused"
        withdrawn.set()
        again = await world.until("dies", lambda obj: is_ready(obj) and container(obj)["restartCount"] == 1)
        assert endpoint(again) == endpoint(ready)


CLOSES_FIRST = """
import os, signal, socket, time
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
def leave(*_):
    server.close()
    open(os.environ["CLOSED"], "w").close()
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.005)
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
while True:
    server.accept()[0].close()
"""


@as_root
async def test_no_other_program_gets_the_port_of_an_instance_that_closes_it_while_it_is_stopped(tmp_path: Path) -> None:
    closed, go = tmp_path / "closed", tmp_path / "go"
    announced: list[str | None] = []
    async with node(tmp_path, announce=lambda pod, address: announced.append(address)) as world:
        env = [{"name": "CLOSED", "value": str(closed)}, {"name": "GO", "value": str(go)}]
        await world.create(pod("leaves", *python(CLOSES_FIRST), env=env))
        ready = await world.ready("leaves")
        stopping = asyncio.create_task(world.agent.stop_all(20))
        await eventually(closed.exists, "the app closes its port")

        assert announced == [endpoint(ready), None]
        with stranger(port_of(ready)) as answer:
            assert answer == "refused"
        go.touch()
        await stopping


@as_root
async def test_no_other_program_gets_the_port_of_an_instance_whose_listening_child_died(tmp_path: Path) -> None:
    asked, withdrawn = asyncio.Event(), asyncio.Event()

    async def drained(revision: Key, where: str) -> None:
        asked.set()
        await withdrawn.wait()

    async with node(tmp_path, drained=drained) as world:
        await world.create(pod("orphan", *python(CHILD_LISTENS)))
        ready = await world.ready("orphan")
        children = Path(f"/proc/{leader_of(ready)}/task/{leader_of(ready)}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        await asked.wait()

        with stranger(port_of(ready)) as answer:
            assert answer == "refused"
        withdrawn.set()
        obj = await world.until("orphan", lambda obj: "does not listen there any more" in awaited(obj))
        assert container(obj)["restartCount"] == 0


CLOSES = """
import os, socket, time
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while not os.path.exists(os.environ["GO"]):
    server.accept()[0].close()
server.close()
while True:
    time.sleep(1)
"""


async def test_an_instance_that_closes_its_port_and_runs_is_not_ready(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with node(tmp_path) as world:
        await world.create(pod("closes", *python(CLOSES), env=[{"name": "GO", "value": str(go)}]))
        ready = await world.ready("closes")
        go.touch()
        socket.create_connection(("127.0.0.1", port_of(ready))).close()

        obj = await world.until("closes", lambda obj: "does not listen there any more" in awaited(obj))
        assert not is_ready(obj)


def run(closing: ExitStack, script: str) -> Process:
    """A process that runs a script, once it has written a line."""
    child = closing.enter_context(subprocess.Popen(python(script), env={"PORT": "0"}, stdout=subprocess.PIPE))
    closing.callback(child.kill)
    assert child.stdout is not None and child.stdout.readline()
    process = Process.of(child.pid)
    assert process is not None
    return process


async def test_a_listener_belongs_to_the_processes_that_have_its_socket_open() -> None:
    with ExitStack() as closing:
        app = run(closing, LISTENS)
        other = run(closing, "print('runs', flush=True)\nimport signal\nsignal.pause()")
        opened = await listening(app).opened()
        assert opened is not None
        (found,) = opened

        assert await listening(app).problem(found.port) is None
        assert await listening(other).problem(found.port) == (
            f"another program listens there (user {os.geteuid()}), not the app"
        )


CANNOT_LOOK = """
import asyncio, concurrent.futures.thread, os, sys  # before it is a user who may not read them
from harness.waiting import eventually
from tidegate.kit.processes import Process
from tidegate.node.runtimes.process.listening import ProcessListening
async def members():
    return []
async def main():
    leader, port = Process.of(int(sys.argv[1])), int(sys.argv[2])
    os.setgid(65533), os.setuid(65533)
    listening = ProcessListening(leader, members)
    print(await listening.problem(port), await listening.opened(), sep="\\n")
asyncio.run(main())
"""


@as_root
def test_an_app_whose_open_files_cannot_be_read_must_be_the_user_of_the_socket() -> None:
    with ExitStack() as closing, socket.socket() as foreign:
        app = run(closing, LISTENS)
        port = next(one.port for one in sockets.listeners() if one.inode in inodes_of(app))
        ask = [*python(CANNOT_LOOK), str(app.pid)]
        assert subprocess.check_output([*ask, str(port)], text=True).splitlines() == ["None", "None"]

        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        os.fchown(foreign.fileno(), 65532, -1)
        printed = subprocess.check_output([*ask, str(foreign.getsockname()[1])], text=True)
        assert printed.startswith("another program listens there (user 65532), not the app")


@as_root
def test_an_app_whose_open_files_cannot_be_read_has_opened_the_sockets_of_its_user() -> None:
    with ExitStack() as closing:
        app = run(closing, "import os, socket, threading\nos.setgid(65532), os.setuid(65532)\n" + LISTENS)
        (found,) = [one for one in sockets.listeners() if one.user == 65532]
        printed = subprocess.check_output([*python(CANNOT_LOOK), str(app.pid), str(found.port)], text=True)
        assert printed.splitlines() == ["None", f"[{found!r}]"]


def inodes_of(process: Process) -> set[int]:
    links = [str(entry.readlink()) for entry in Path(f"/proc/{process.pid}/fd").iterdir()]
    return {int(link[len("socket:[") : -1]) for link in links if link.startswith("socket:[")}


def listening(process: Process) -> ProcessListening:
    async def members() -> list[Member]:
        return [Member(process, 0, 0.0, 0)]

    return ProcessListening(process, members)


async def test_a_port_without_a_listener_is_not_the_apps() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    own = Process.of(os.getpid())
    assert own is not None
    assert await listening(own).problem(port) == "nothing listens there"


async def test_a_foreign_listener_found_later_makes_an_instance_unready(tmp_path: Path) -> None:
    async with virtual(tmp_path) as world:
        await world.create(pod("app", "x"))
        assert is_ready(await world.get())
        world.running.listening.lose("another program listens there (user 9), not the app")
        await world.turn(0.1)

        assert awaited(await world.get()).endswith("another program listens there (user 9), not the app")


def test_the_kernels_tables_and_its_messages_agree() -> None:
    with ExitStack() as opened:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, ""), (socket.AF_INET6, "::1")):
            server = opened.enter_context(socket.create_server((host, 0), family=family))
            port, inode = server.getsockname()[1], os.fstat(server.fileno()).st_ino
            found, same = (
                [listener for listener in of(port) if listener.inode == inode]
                for of in (sockets.by_netlink, sockets.by_proc)
            )
            assert found == same
            assert [(listener.port, listener.inode, listener.user) for listener in found] == [
                (port, inode, os.geteuid())
            ]
            assert bool(sockets.at_loopback(port)) == (host != "::1")
