# SPDX-License-Identifier: Apache-2.0
"""Apps in a real sandbox: they end as other processes do, and attack what they must not reach."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.node import process_runtime
from harness.waiting import eventually
from tidegate.kit.processes import Process
from tidegate.model import names
from tidegate.model.objects import Object
from tidegate.node.runtime import ContainerExit, Launch, LaunchRejected, Stdio
from tidegate.node.runtimes.process import identity, sweep
from tidegate.node.runtimes.process.etc_files import EtcFiles
from tidegate.node.runtimes.process.identity import Identities
from tidegate.node.runtimes.process.privileges import HostPrivileges
from tidegate.node.runtimes.process.running import RunningProcess
from tidegate.node.runtimes.process.runtime import ProcessRuntime
from tidegate.node.runtimes.process.sandbox import Sandboxes, find_host, trial

USER = 2_000_000_123
PYTHON = Path(sys.base_prefix)


class OneUser:
    """Namespaces that all have one user."""

    async def of(self, pod: Object) -> int:
        return USER


class World:
    """A runtime with sandboxes. `state`: the state folder."""

    def __init__(self, state: Path, runtime: ProcessRuntime, *, apps_are_root: bool = False) -> None:
        self.state = state
        self.apps_are_root = apps_are_root
        self.runtime = runtime
        self.started: list[RunningProcess] = []

    async def start(
        self,
        *command: str,
        name: str = "app",
        environment: dict[str, str] | None = None,
        sandbox: str = "",
        volumes: dict[str, Path] | None = None,
        **fields: Any,
    ) -> RunningProcess:
        container = {"name": "c", "image": names.HOST_IMAGE, "command": list(command), **fields}
        metadata = {"uid": name, "name": name, "namespace": "default", "annotations": {names.SANDBOX: sandbox}}
        pod = {"metadata": metadata, "spec": {"containers": [container]}}
        prepared = await self.runtime.prepare(Launch(pod, container, volumes=volumes or {}))
        running = await (await prepared.create(environment or {})).start()
        self.started.append(running)
        return running

    async def output(self, *command: str, **options: Any) -> str:
        running = await self.start(*command, **options)
        await running.ended()
        await running.kill()
        name = str(options.get("name", "app"))
        return (self.state / "instances" / name / "c.log").read_text()


def _identities(as_root: bool) -> Identities:
    if not as_root:
        return identity.as_ourselves()
    return Identities(HostPrivileges(user=0, group=0, has_app_users=True), OneUser())  # type: ignore[arg-type]


@pytest.fixture(params=["users of their own", "one user"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    as_root = request.param == "users of their own"
    if as_root and identity.hindrance():
        pytest.skip("only root, with its capabilities, may set users")
    state = tmp_path / "state"
    state.mkdir(mode=0o711)
    for folder in (*tmp_path.parents[:3], tmp_path):
        if folder.stat().st_uid == os.getuid() and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)  # of pytest
    found = find_host(state, PYTHON)
    if isinstance(found, str):
        pytest.skip(found)
    host = replace(found, has_new_user=not as_root)
    if problem := trial(host):
        pytest.skip(problem)
    sandboxes = Sandboxes(host, EtcFiles(state / "sandbox" / "etc"))
    runtime = process_runtime(state / "instances", identities=_identities(as_root), sandboxes=sandboxes)
    world = World(state, runtime, apps_are_root=not as_root and os.geteuid() == 0)
    try:
        yield world
    finally:
        for running in world.started:
            await running.kill()
        assert sweep.find(state / "instances", {}) == {}


@pytest.mark.parametrize(
    ("script", "exit"),
    [
        ("exit 0", ContainerExit(0, 0, "Completed")),
        ("exit 7", ContainerExit(7, 0, "Error")),
        ("exit 137", ContainerExit(137, 0, "Error")),
        ("kill -TERM $$$$", ContainerExit(143, 15, "Error")),
        ("kill -KILL $$$$", ContainerExit(137, 9, "Error")),
        ("sleep 300 & exit 3", ContainerExit(3, 0, "Error")),
    ],
)
async def test_the_exit_code_and_signal_of_an_app_are_its_own(world: World, script: str, exit: ContainerExit) -> None:  # noqa: A002
    running = await world.start("sh", "-c", script)

    assert await running.ended() == exit


async def test_sigterm_ends_an_app_without_a_handler(world: World) -> None:
    running = await world.start("sleep", "300")

    running.terminate()

    assert await running.ended() == ContainerExit(143, 15, "Error")


async def test_an_app_with_a_handler_of_sigterm_ends_in_order(world: World) -> None:
    running = await world.start("sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    log = world.state / "instances/app/c.log"
    await eventually(lambda: "ready" in log.read_text())

    running.terminate()

    assert await running.ended() == ContainerExit(5, 0, "Error")
    assert "bye" in log.read_text()


async def test_a_program_that_does_not_exist_is_reported(world: World) -> None:
    with pytest.raises(LaunchRejected) as rejected:
        await world.start("/no/such/program")

    assert rejected.value.reason == "ContainerMissing"
    assert world.runtime.processes.leaders == {}


async def test_an_app_sees_only_its_own_processes_and_files(world: World) -> None:
    neighbour = await world.start("sleep", "4321", name="neighbour", environment={"SECRET": "of-the-neighbour"})
    (world.state / "kubeconfig").write_text("the token")
    script = """
        cat /proc/[0-9]*/comm | sort -u
        cat /proc/[0-9]*/environ | grep -c of-the-neighbour
        hostname
        ls -A /run /var/run/ /tmp "$HOME" /home
        ls -A %s 2>/dev/null
        echo end
    """
    found = await world.output("sh", "-c", script % world.state)

    assert "python" not in found
    assert "sleep" not in found
    assert "4321" not in found
    assert "kubeconfig" not in found
    assert "\n0\napp\n" in found
    assert neighbour.process.alive


ATTACKS = """
import ctypes, glob, os, socket, subprocess, sys
state, leader, control = sys.argv[1:4]
libc = ctypes.CDLL(None, use_errno=True)
def reads(path):
    try:
        open(path).close() if not os.path.isdir(path) else os.listdir(path)
        return True
    except OSError:
        return False
def writes(path):
    try:
        open(path, "a").close()
        return True
    except OSError:
        return False
def connects(path):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        return True
    except OSError:
        return False
def kills(pid):
    try:
        os.kill(int(pid), 0)
        return True
    except OSError:
        return False
bad = []
for path in (f"{state}/state.db", f"{state}/instances", f"{state}/run", f"/proc/1/root{state}/state.db", "/proc/1/fd",
             f"/proc/1/cwd{state}/state.db", f"/proc/self/root{state}/state.db", "/etc/shadow", "/var/lib",
             "/root/.ssh", "/proc/1/environ", "/proc/1/mem", "/dev/mem", "/dev/kmsg", "/proc/kcore"):
    if reads(path):
        bad.append(f"reads {path}")
for path in ("/usr/x", "/etc/x", "/x", "/dev/x", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/x",
             "/etc/passwd", "/sys/devices/system/cpu/cpu0/online", "/bin/sh"):
    if writes(path):
        bad.append(f"writes {path}")
for path in (f"{state}/run/gate.sock", "/run/docker.sock", "/var/run/docker.sock"):
    if connects(path):
        bad.append(f"connects to {path}")
for pid in (leader, control):
    if kills(pid) and open(f"/proc/{pid}/comm").read() not in ("python3", "sh"):
        bad.append(f"sees {pid}")
before = os.getpid()
for signal in (9, 15):
    try:
        os.kill(1, signal)
    except OSError:
        pass
if libc.ptrace(16, 1, 0, 0) == 0:
    bad.append("traces PID 1")
if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0:
    bad.append("mounts")
if libc.umount2(b"/etc", 2) == 0:
    bad.append("unmounts")
inherited = [name for name in os.listdir("/proc/self/fd") if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}")]
if inherited:
    bad.append(f"has inherited files {[os.readlink(f'/proc/self/fd/{name}') for name in inherited]}")
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
if any(int(status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Amb")):
    bad.append("has capabilities")
if status["NoNewPrivs"].strip() != "1":
    bad.append("can gain privileges")
try:
    with open("/tmp/full", "wb") as file:
        for _ in range(64):
            file.write(bytes(2**20))
    bad.append("fills /tmp")
except OSError as error:
    if error.errno != 28:
        bad.append(str(error))
os.unlink("/tmp/full")
print("bad:", bad)
"""


async def test_an_app_cannot_reach_what_is_not_its_own(world: World) -> None:
    neighbour = await world.start("sleep", "300", name="neighbour")
    (world.state / "state.db").write_text("secrets")
    (world.state / "run").mkdir()
    limits = {"limits": {"ephemeral-storage": "16Mi"}}

    found = await world.output(
        *("/usr/bin/python3", "-I", "-c", ATTACKS, str(world.state), str(neighbour.process.pid), str(os.getpid())),
        resources=limits,
    )

    of_its_user = ["reads /proc/1/fd", "reads /etc/shadow"] if world.apps_are_root else []
    assert found == f"bad: {of_its_user}\n"
    assert neighbour.process.alive


async def test_an_app_neither_sees_other_mounts_of_the_host_nor_loses_those_below_its_volumes(
    world: World, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    data = tmp_path / "data"
    inner = data / "inner"
    inner.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tidegate-test", str(inner)], check=True)  # after the namespace was made
    try:
        (inner / "file").write_text("later")
        mount = {"name": "data", "mountPath": "/data"}
        found = await world.output(
            *("sh", "-c", "cat /data/inner/file; grep -c netns /proc/self/mountinfo"),
            volumes={"data": data},
            volumeMounts=[mount],
        )
    finally:
        subprocess.run(["umount", "-l", str(inner)], check=True)

    assert found == "later0\n"


async def test_a_program_beside_an_app_is_in_its_sandbox(world: World) -> None:
    running = await world.start("sh", "-c", "sleep 300; :", name="beside")
    out, write = os.pipe()
    script = (
        "hostname; echo $(cat /proc/[0-9]*/comm | sort -u | tr '\\n' ' '); ls /proc/self/fd | wc -l; echo x > /tmp/made"
    )

    assert await running.execute(["sh", "-c", script], Stdio(write, write, write)) == 0
    assert await running.execute(["test", "-e", "/tmp/made"]) == 0
    assert await running.execute(["sh", "-c", "kill -KILL $$"]) == 137
    assert await running.execute(["missing"]) == 127

    os.close(write)
    found = os.read(out, 4096).decode().splitlines()
    os.close(out)
    assert found[0] == "beside"
    assert "sleep" in found[1]
    assert "pytest" not in found[1]
    assert found[2] == "4"


async def test_a_program_beside_an_app_that_is_cancelled_ends_with_all_that_it_started(world: World) -> None:
    running = await world.start("sleep", "300")
    program = asyncio.create_task(running.execute(["sh", "-c", "sleep 400 & sleep 500"]))
    await eventually(lambda: "sleep\x00400" in _command_lines(world))

    program.cancel()
    await asyncio.gather(program, return_exceptions=True)

    await eventually(lambda: "sleep\x00" not in _command_lines(world).replace("sleep\x00300", ""))
    assert running.process.alive


async def test_an_app_outlives_the_control_plane_and_is_adopted(world: World) -> None:
    running = await world.start("sleep", "300")
    another = process_runtime(world.state / "instances")

    adopted = another.adopt("app", "c")

    assert adopted is not None
    assert adopted.process == running.process
    assert await adopted.execute(["sh", "-c", "test $(hostname) = app"]) == 0
    adopted.terminate()
    assert (await adopted.ended()).reason == "ContainerStatusUnknown"


async def test_a_sandbox_whose_leader_is_killed_ends(world: World) -> None:
    running = await world.start("sh", "-c", "sleep 300; :")
    running.process.signal(signal.SIGKILL)

    assert (await running.ended()).signal == signal.SIGKILL
    await running.kill()

    assert sweep.find(world.state / "instances", {}) == {}


async def test_an_app_is_frozen_with_its_sandbox_and_thawed(world: World) -> None:
    running = await world.start("sh", "-c", "while :; do echo x; sleep 0.01; done")
    log = world.state / "instances/app/c.log"
    await eventually(lambda: log.stat().st_size > 10)

    await running.freeze()
    size = log.stat().st_size
    await asyncio.sleep(0.1)

    assert log.stat().st_size <= size + 2
    running.thaw()
    await eventually(lambda: log.stat().st_size > size + 10)


async def test_a_read_only_root_is_read_only_everywhere(world: World) -> None:
    script = "for f in /tmp/x ~/x /dev/shm/x /x; do touch $f 2>/dev/null && echo wrote $f; done; echo end"

    found = await world.output("sh", "-c", script, securityContext={"readOnlyRootFilesystem": True})

    assert found == "wrote /dev/shm/x\nend\n"


async def test_the_annotation_switches_the_sandbox_off(world: World) -> None:
    found = await world.output(
        "sh", "-c", f"test -e /proc/{os.getpid()} && echo sees the control plane", sandbox="none"
    )

    assert found == "sees the control plane\n"


async def test_a_program_in_a_checkout_runs_with_its_environment(world: World, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir(mode=0o755)
    (checkout / "main.py").write_text("import helper")
    (checkout / "helper.py").write_text("print('helped')")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")], check=True)

    assert await world.output(str(checkout / ".venv/bin/python"), str(checkout / "main.py")) == "helped\n"
    assert await world.output(".venv/bin/python", "main.py", name="b", workingDir=str(checkout)) == "helped\n"


async def test_volumes_are_at_their_places(world: World, tmp_path: Path) -> None:
    settings, data = tmp_path / "settings", tmp_path / "data"
    for folder in (settings, data):
        folder.mkdir()
        folder.chmod(0o777)
    (settings / "key").write_text("value")
    mounts = [
        {"name": "settings", "mountPath": "/etc/app/settings", "readOnly": True},
        {"name": "data", "mountPath": "/data"},
    ]
    script = (
        "cat /etc/app/settings/key; echo made > /data/made; touch /etc/app/settings/x 2>/dev/null || echo read-only"
    )

    found = await world.output(*("sh", "-c", script), volumes={"settings": settings, "data": data}, volumeMounts=mounts)

    assert found == "valueread-only\n"
    assert (data / "made").read_text() == "made\n"


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ({"name": "none", "mountPath": "/a"}, "there is no volume 'none'"),
        ({"name": "data", "mountPath": "/a", "subPath": "b"}, "volumeMounts.subPath"),
        ({"name": "data", "mountPath": "/"}, "volumeMounts.mountPath: / belongs"),
        ({"name": "data", "mountPath": "/proc/x"}, "volumeMounts.mountPath: /proc/x belongs"),
        ({"name": "data", "mountPath": "/usr/../usr//lib"}, "volumeMounts.mountPath: /usr/lib belongs"),
    ],
)
async def test_a_mount_that_cannot_be_made_is_rejected_by_its_field(
    world: World, tmp_path: Path, mount: dict[str, str], message: str
) -> None:
    with pytest.raises(LaunchRejected) as rejected:
        await world.start("true", volumes={"data": tmp_path}, volumeMounts=[mount])

    assert message in rejected.value.message


async def test_the_files_of_the_host_keep_their_owner(world: World) -> None:
    running = await world.start("sleep", "300")
    owner = Path(os.devnull).stat().st_uid
    with Path(os.devnull).open("r+b") as nowhere:
        file = nowhere.fileno()
        assert await running.execute(["true"], Stdio(file, file, file)) == 0

    assert Path(os.devnull).stat().st_uid == owner


async def test_an_app_with_limits_sees_its_control_groups(world: World) -> None:
    listing = ["sh", "-c", "test -e /sys/fs/cgroup && echo yes || echo no"]

    assert await world.output(*listing, resources={"limits": {"memory": "64Mi"}}) == "yes\n"
    assert await world.output(*listing) == "no\n"


async def test_set_user_id_is_rejected_by_its_field(world: World) -> None:
    with pytest.raises(LaunchRejected, match=r"securityContext.allowPrivilegeEscalation: .*tidegate.dev/sandbox: none"):
        await world.start("true", securityContext={"allowPrivilegeEscalation": True})


async def test_without_bubblewrap_a_required_sandbox_rejects_every_app(tmp_path: Path) -> None:
    sandboxes = Sandboxes(None, EtcFiles(tmp_path), "bubblewrap is not installed", required=True)
    world = World(tmp_path, process_runtime(tmp_path / "instances", sandboxes=sandboxes))

    with pytest.raises(LaunchRejected, match=r"--sandbox=required.*bubblewrap is not installed"):
        await world.start("true")
    with pytest.raises(LaunchRejected, match=r"tidegate.dev/sandbox: none is not allowed"):
        await world.start("true", sandbox="none")


def _command_lines(world: World) -> str:
    members = [member for found in sweep.find(world.state / "instances", {}).values() for member in found]
    return "\n".join(
        Path(f"/proc/{member.process.pid}/cmdline").read_text(errors="replace")
        for member in members
        if Process.of(member.process.pid) is not None
    )
