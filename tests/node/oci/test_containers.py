# SPDX-License-Identifier: Apache-2.0
"""Containers by a real OCI runtime: created, started, adopted, ended."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import termios
from pathlib import Path

import pytest

from harness.oci import OciWorld, pod, shell
from harness.waiting import eventually
from tidegate.kit import mounts
from tidegate.kit.processes import Process
from tidegate.node.runtime import ContainerExit, LaunchRejected, Stdio
from tidegate.node.runtimes.oci.created import CreatedOciContainer
from tidegate.node.runtimes.oci.running import LOST, OciContainer

pytestmark = [pytest.mark.needs("root", "conmon", "runc", "busybox")]


def init_of(container: OciContainer | CreatedOciContainer) -> Process:
    record = container.folder.record()
    assert record is not None
    return record.init


async def started(world: OciWorld, script: str) -> OciContainer:
    return await (await world.create(pod(shell(script)))).start()


async def test_a_container_runs_its_command_and_reports_its_exit_code(world: OciWorld) -> None:
    app = pod(shell("echo hello; echo oops >&2; exit 7"))

    running = await (await world.create(app)).start()

    assert await running.ended() == ContainerExit(7)
    assert world.log(app) == "hello\noops\n"


async def test_a_container_that_ends_well_has_completed(world: OciWorld) -> None:
    running = await started(world, "exit 0")

    assert await running.ended() == ContainerExit(0, 0, "Completed")


async def test_no_program_runs_before_the_start(world: OciWorld) -> None:
    app = pod(shell("echo hello"))

    created = await world.create(app)
    await asyncio.sleep(0.1)

    assert world.log(app) == ""
    await created.remove()
    assert not created.folder.path.exists()


async def test_the_next_control_plane_starts_a_container_that_was_created(world: OciWorld) -> None:
    app = pod(shell("exit 3"))
    await world.create(app)

    adopted = world.another().adopt(app["metadata"]["uid"], "app")

    assert isinstance(adopted, CreatedOciContainer)
    assert (await (await adopted.start()).ended()).code == 3


async def test_the_next_control_plane_learns_the_exit_code(world: OciWorld) -> None:
    app = pod(shell("sleep 0.3; exit 5"))
    before = await (await world.create(app)).start()

    adopted = world.another().adopt(app["metadata"]["uid"], "app")

    assert isinstance(adopted, OciContainer)
    assert (adopted.id, adopted.started_at) == (before.id, before.started_at)
    assert (await adopted.ended()).code == 5


async def test_the_next_control_plane_learns_the_exit_code_of_a_container_that_ended_meanwhile(world: OciWorld) -> None:
    app = pod(shell("exit 6"))
    before = await (await world.create(app)).start()
    await before.ended()

    adopted = world.another().adopt(app["metadata"]["uid"], "app")

    assert adopted is not None
    assert isinstance(adopted, OciContainer)
    assert (await adopted.ended()).code == 6


async def test_a_removed_container_is_not_adopted(world: OciWorld) -> None:
    app = pod(shell("sleep 60"))
    running = await (await world.create(app)).start()

    await running.kill()

    assert world.runtime.adopt(app["metadata"]["uid"], "app") is None


async def test_nobody_knows_the_exit_code_if_conmon_was_killed(world: OciWorld) -> None:
    running = await started(world, "sleep 60")
    record = running.folder.record()
    assert record is not None
    record.monitor.signal(signal.SIGKILL)
    await record.monitor.ended()

    await running.kill()

    assert await running.ended() == LOST


async def test_a_container_killed_from_outside_has_the_exit_code_of_its_signal(world: OciWorld) -> None:
    running = await started(world, "sleep 60")

    init_of(running).signal(signal.SIGKILL)

    assert await running.ended() == ContainerExit(137)


async def test_a_container_gets_the_stop_signal_of_its_image(world: OciWorld) -> None:
    world.configure(stop_signal="SIGUSR1")
    app = pod(shell("trap 'echo stopping; exit 4' USR1; echo ready; while :; do sleep 0.05; done"))
    running = await (await world.create(app)).start()
    while "ready" not in world.log(app):
        await asyncio.sleep(0.01)

    running.terminate()

    assert (await running.ended()).code == 4
    assert world.log(app) == "ready\nstopping\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["/missing"], 'exec: "/missing": stat /missing: no such file or directory'),
        (["missing"], 'exec: "missing": executable file not found in $PATH'),
        (["/etc/passwd"], 'exec: "/etc/passwd": permission denied'),
    ],
)
async def test_a_program_that_cannot_be_executed_is_reported(world: OciWorld, command: list[str], message: str) -> None:
    app = pod({"command": command})

    with pytest.raises(LaunchRejected) as rejected:
        await world.create(app)

    assert (rejected.value.reason, rejected.value.message) == ("RunContainerError", message)
    assert world.log(app) == ""
    assert list(world.runtime.host.folders.of(app["metadata"]["uid"])) == []


async def test_a_cancelled_creation_leaves_nothing(world: OciWorld) -> None:
    app = pod(shell("sleep 60"))
    name = app["metadata"]["uid"]
    for delay in (0.0, 0.005, 0.02, 0.04):
        creation = asyncio.create_task(world.create(app))
        await asyncio.sleep(delay)
        creation.cancel()
        await asyncio.gather(creation, return_exceptions=True)

    await world.runtime.host.settled()

    assert list(world.runtime.host.folders.of(name)) == []
    assert list(world.runtime.host.folders.state.iterdir()) == []


async def test_a_creation_that_a_killed_control_plane_began_is_removed(world: OciWorld) -> None:
    app = pod(shell("sleep 60"))
    created = await world.create(app)
    (created.folder.path / "record.json").unlink()
    init = init_of(await world.create(app))

    await world.another().forget_others([app["metadata"]["uid"]])

    assert not created.folder.path.exists()
    assert init.alive


async def test_deleted_pods_are_forgotten(world: OciWorld) -> None:
    one, other = pod(shell("sleep 60")), pod(shell("sleep 60"))
    running = await (await world.create(one)).start()
    kept = await (await world.create(other)).start()

    await world.another().forget_others([other["metadata"]["uid"]])

    assert (await running.ended()).code == 137
    assert init_of(kept).alive
    assert world.runtime.host.folders.known_pods() == [other["metadata"]["uid"]]


async def test_a_frozen_container_stops_and_continues(world: OciWorld) -> None:
    app = pod(shell("while :; do echo x; sleep 0.01; done"))
    running = await (await world.create(app)).start()
    await asyncio.sleep(0.1)

    await running.freeze()
    await asyncio.sleep(0.05)
    frozen = len(world.log(app))
    await asyncio.sleep(0.2)
    assert len(world.log(app)) == frozen
    running.thaw()
    await asyncio.sleep(0.1)

    assert len(world.log(app)) > frozen


async def test_a_frozen_container_can_be_killed(world: OciWorld) -> None:
    running = await started(world, "sleep 60")
    await running.freeze()

    async with asyncio.timeout(5):
        await running.kill()

    assert (await running.ended()).code == 137


async def test_usage_is_of_all_containers_of_a_pod(world: OciWorld) -> None:
    app = pod(shell("while :; do :; done"))
    await (await world.create(app)).start()
    await asyncio.sleep(0.2)

    used = await world.runtime.usage(app["metadata"]["uid"])

    assert used is not None
    assert used.cpu_seconds > 0.01
    assert used.memory_bytes > 100_000
    assert await world.runtime.usage("unknown") is None


async def test_an_app_that_needs_more_memory_than_its_limit_is_oom_killed(world: OciWorld) -> None:
    app = pod({**shell("x=a; while :; do x=$x$x; done"), "resources": {"limits": {"memory": "16Mi"}}})

    running = await (await world.create(app)).start()

    assert await running.ended() == ContainerExit(137, 0, "OOMKilled")


async def test_a_container_that_writes_more_than_its_limit_is_evicted(
    world: OciWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.node.runtimes.oci.storage.EVERY", 0.1)
    limits = {"resources": {"limits": {"ephemeral-storage": "1Mi"}}}
    app = pod({**shell("head -c 3000000 /dev/zero > /tmp/file; sleep 60"), **limits})

    running = await (await world.create(app)).start()

    message = 'Container app exceeded its local ephemeral storage limit "1Mi". '
    assert await running.ended() == ContainerExit(137, 0, "Evicted", message)


async def test_the_termination_message_is_what_the_container_wrote(world: OciWorld) -> None:
    app = pod({**shell("echo why > /tmp/why; exit 1"), "terminationMessagePath": "/tmp/why"})

    running = await (await world.create(app)).start()

    assert await running.ended() == ContainerExit(1, 0, "Error", "why")


async def test_a_program_beside_a_container_has_its_environment_and_its_exit_code_is_returned(world: OciWorld) -> None:
    app = pod(shell("sleep 60"))
    running = await (await world.create(app, {"ANSWER": "42"})).start()

    assert await running.execute(["/bin/sh", "-c", "exit $ANSWER"]) == 42
    assert await running.execute(["missing"]) == 127
    assert await running.execute(["/etc/passwd"]) == 126


async def test_a_program_with_a_terminal_has_it_inside_of_the_container(world: OciWorld) -> None:
    running = await (await world.create(pod(shell("sleep 60")))).start()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))

    script = "ls -l /proc/self/fd/0; echo $TERM; stty size; exit 3"
    code = await running.execute(["/bin/busybox", "sh", "-c", script], Stdio(theirs, theirs, theirs, terminal=True))

    os.set_blocking(ours, False)
    printed = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    assert code == 3
    assert "/dev/pts/0" in printed
    assert "xterm" in printed


async def test_the_input_and_the_output_of_a_program_beside_a_container_are_the_callers(
    world: OciWorld, tmp_path: Path
) -> None:
    running = await (await world.create(pod(shell("sleep 60")))).start()
    (tmp_path / "in").write_text("given")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
        await running.execute(["cat"], Stdio(source.fileno(), target.fileno(), target.fileno()))

    assert (tmp_path / "out").read_text() == "given"


async def test_a_cancelled_program_beside_a_container_is_killed(world: OciWorld) -> None:
    app = pod(shell("sleep 60"))
    running = await (await world.create(app)).start()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await running.execute(["/bin/sh", "-c", "sleep 1000 & sleep 1001"])
    await asyncio.sleep(0.05)

    assert len(world.runtime.host.groups.processes(running.folder.id)) == 1
    assert not [entry for entry in running.folder.path.iterdir() if entry.name.startswith("exec-")]


async def test_a_program_beside_a_container_has_its_files(world: OciWorld) -> None:
    running = await started(world, "sleep 60")
    (stdin, given), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
    os.write(given, b"\0\xff")
    os.close(given)

    code = await running.execute(["/bin/sh", "-c", "cat; echo bad >&2; exit 3"], Stdio(stdin, stdout, stderr))

    assert (code, os.read(out, 100), os.read(err, 100)) == (3, b"\0\xff", b"bad\n")
    for file in (stdin, stdout, stderr, out, err):
        os.close(file)


async def test_a_terminal_beside_a_container_follows_the_size_of_the_callers(world: OciWorld) -> None:
    running = await started(world, "sleep 60")
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (33, 77))
    script = "stty size </dev/tty; echo $TERM; read line; stty size; exit 4"

    executing = asyncio.create_task(running.execute(["/bin/sh", "-c", script], Stdio(slave, slave, slave, True)))
    shown = b""
    while b"xterm" not in shown:
        shown += await asyncio.to_thread(os.read, master, 1000)
    termios.tcsetwinsize(slave, (50, 99))
    await asyncio.sleep(0.3)  # the signal passes through the OCI runtime
    os.write(master, b"\n")

    assert await asyncio.wait_for(executing, 20) == 4
    os.set_blocking(master, False)
    shown += os.read(master, 1000)
    assert b"33 77" in shown
    assert b"50 99" in shown
    os.close(master)
    os.close(slave)


async def test_a_session_ends_with_all_that_it_started_also_with_its_control_plane(world: OciWorld) -> None:
    running = await started(world, "sleep 60")
    groups, name = world.runtime.host.groups, running.folder.id
    with Path(os.devnull).open("r+b") as nowhere:
        stdio = Stdio(nowhere.fileno(), nowhere.fileno(), nowhere.fileno())
        script = "busybox setsid sleep 1000 & (busybox setsid sleep 1001 &) ; sleep 1002"
        executing = asyncio.create_task(running.execute(["/bin/sh", "-c", script], stdio))
        await eventually(lambda: len(groups.processes(name)) == 4, "the program has started its processes", patience=5)
        executing.cancel()
        await asyncio.gather(executing, return_exceptions=True)
        assert len(groups.processes(name)) == 1

        assert await running.execute(["/bin/sh", "-c", "busybox setsid sleep 1003 >/dev/null 2>&1 & true"], stdio) == 0
        assert len(groups.processes(name)) == 2
        await world.runtime.forget_others([running.folder.pod])
        await eventually(lambda: len(groups.processes(name)) == 1, "the next control plane ends the session")


@pytest.mark.parametrize("address", ["127.0.0.1:7000", "[::]:7000", "0.0.0.0:7000"])
async def test_a_port_of_a_container_is_reached_on_its_own_loopback(world: OciWorld, address: str) -> None:
    running = await started(world, f"busybox httpd -f -p {address} -h /etc")
    await eventually(lambda: running.listening.is_taken(7000), "the program listens", patience=5)
    with await running.connect(7000) as connection:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, b"GET /passwd HTTP/1.0\r\n\r\n")
        assert (await loop.sock_recv(connection, 100)).startswith(b"HTTP/1.1 200 OK")
    with pytest.raises(ConnectionRefusedError, match="does not listen there"):
        await running.connect(7001)


async def test_nothing_is_left_of_many_starts(world: OciWorld) -> None:
    before = leftovers(world.folder)
    for _ in range(4):
        pods = [pod(shell("exit 0")) for _ in range(6)]
        created = await asyncio.gather(*map(world.create, pods))
        runs = await asyncio.gather(*(each.start() for each in created))
        await asyncio.gather(*(each.kill() for each in runs))
        await asyncio.gather(*(world.runtime.forget(app["metadata"]["uid"]) for app in pods))

    assert leftovers(world.folder) == before
    assert world.runtime.host.folders.known_pods() == []
    assert list(world.runtime.host.folders.state.iterdir()) == []


def leftovers(folder: Path) -> tuple[object, ...]:
    """What a container may leave on this host."""
    trees = [tree / "tidegate" for tree in Path("/sys/fs/cgroup").iterdir() if (tree / "tidegate").is_dir()]
    groups = [name for tree in trees for name in os.listdir(tree) if f"test-{os.getpid()}-" in name]  # noqa: PTH208
    processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal() and _mentions(entry, folder)]
    return mounts.below(folder), groups, processes, len(list(Path("/proc/self/fd").iterdir()))


def _mentions(entry: Path, folder: Path) -> bool:
    try:
        return str(folder).encode() in (entry / "cmdline").read_bytes()
    except OSError:
        return False
