# SPDX-License-Identifier: Apache-2.0
"""The users of real processes: if root runs Tidegate, the apps of each namespace have a user with few rights."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.node import LISTENS, World, node, pod, process_runtime, python, waiting
from tests.bundles.world import APP, app, build
from tidegate.client.cluster import Cluster
from tidegate.kit import native
from tidegate.model.kinds import NAMESPACE, POD
from tidegate.model.objects import Key, Object, uid
from tidegate.node.runtime import LaunchRejected
from tidegate.node.runtimes.process import sweep
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.identity import Identities, as_users_of_their_own, hindrance
from tidegate.node.runtimes.process.spec import ProcessSpec, scratch_folder
from tidegate.node.runtimes.process.users import usual_uids

pytestmark = pytest.mark.skipif(hindrance() != "", reason="only root, with its capabilities, starts others' processes")

PRINTS_ITS_IDENTITY = """
import ctypes, fcntl, json, os, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
seen = {
    "user": [*os.getresuid(), *os.getresgid()],
    "groups": os.getgroups(),
    "environment": dict(os.environ),
    "new_privileges": status["NoNewPrivs"].strip(),
    "capabilities": sorted({status[f"Cap{name}"].strip() for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}),
    "filtered": status["Seccomp"].strip(),
    "umask": status["Umask"].strip(),
}
def attempt(path, mode="r"):
    try:
        open(path, mode).close()
    except OSError as error:
        return error.strerror
    return "ok"
seen["reads"] = {path: attempt(path) for path in sys.argv[1:]}
mine = f"x-of-a-test-{os.getpid()}"
folders = [os.environ["HOME"], os.environ["TMPDIR"], "/tmp", "/dev/shm"]
places = [*(f"{each}/{mine}" for each in folders), "/dev/null", "/dev/stdout"]
seen["writes"] = {path: attempt(path, "a") for path in places}
for folder in ("/tmp", "/dev/shm"):
    if os.path.exists(f"{folder}/{mine}"):
        os.unlink(f"{folder}/{mine}")
try:
    for lease in (fcntl.F_WRLCK, fcntl.F_UNLCK):
        seen["leases"] = fcntl.fcntl(1, fcntl.F_SETLEASE, lease)
except OSError as error:
    seen["leases"] = error.strerror
seen["unshares"] = ctypes.CDLL(None).unshare(0x10000000) == 0
print(json.dumps(seen), flush=True)
"""


@asynccontextmanager
async def rooted(folder: Path, *, allow_root: bool = False) -> AsyncIterator[World]:
    """A node as root runs it."""
    for name in ("instances", "bundles"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o711)

    def identities(cluster: Cluster) -> Identities:
        needed = (folder / "instances", folder / "bundles")
        return as_users_of_their_own(cluster, folder / "users.json", usual_uids(), needed, allow_root=allow_root)

    async with node(folder, identities=identities) as world:
        yield world


def reporting(name: str, *paths: Path, **security_context: Any) -> Object:
    """A Pod whose app prints its user, and which of these paths it can read."""
    return pod(name, *python(PRINTS_ITS_IDENTITY + LISTENS), *map(str, paths), securityContext=security_context)


async def report_of(world: World, obj: Object, name: str) -> Any:
    await world.create(obj)
    return json.loads((await world.logs(await world.ready(name))).splitlines()[0])


async def test_an_app_is_its_namespaces_user_without_groups_and_privileges(tmp_path: Path) -> None:
    async with rooted(tmp_path) as world:
        seen = await report_of(world, reporting("app"), "app")
        namespace = await world.cluster.get(NAMESPACE, Key("", "default"))
        user = json.loads((tmp_path / "users.json").read_text())[uid(namespace)]

    assert seen["user"] == [user] * 6
    assert user in usual_uids()
    assert seen["groups"] == []
    assert seen["new_privileges"] == "1"
    assert seen["capabilities"] == ["0" * 16]
    assert seen["umask"] == "0022"


async def test_an_app_has_files_of_its_own_that_end_with_it(tmp_path: Path) -> None:
    async with rooted(tmp_path) as world:
        seen = await report_of(world, reporting("app"), "app")
        files = scratch_folder(tmp_path / "instances" / uid(await world.ready("app")), "user-container")

        assert seen["environment"]["HOME"] == str(files / "home")
        assert seen["environment"]["TMPDIR"] == str(files / "tmp")
        assert set(seen["writes"].values()) == {"ok"}
        assert seen["leases"] == "Permission denied"  # with one nobody else could open the log
        assert len(list((files / "tmp").iterdir())) == 1

        await world.cluster.delete(POD, Key("default", "app"))
        await world.deleted("app")
        assert not files.exists()


async def test_an_app_reads_no_file_of_tidegate_or_of_another_namespace(tmp_path: Path) -> None:
    async with rooted(tmp_path) as world:
        other = await report_of(world, reporting("other"), "other")
        running = await world.ready("other")
        home = Path(other["environment"]["HOME"])
        pid = running["status"]["containerStatuses"][0]["containerID"].removeprefix("process://").split(".")[0]
        await world.cluster.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "second"}})
        instance = tmp_path / "instances" / uid(running)
        closed = [
            tmp_path / "users.json",
            instance / "record.json",
            instance / "user-container.log",
            *home.iterdir(),
            Path(f"/proc/{pid}/environ"),
            Path("/root/.bashrc"),
        ]
        mine = reporting("app", *closed, Path("/etc/passwd"))
        mine["metadata"]["namespace"] = "second"
        await world.cluster.create(POD, mine)
        seen = json.loads((await world.logs(await world.ready("app", "second"))).splitlines()[0])

    assert seen["user"] != other["user"]
    assert seen["reads"].pop("/etc/passwd") == "ok"
    assert "ok" not in seen["reads"].values()


async def test_a_requested_user_never_has_roots_group(tmp_path: Path) -> None:
    async with rooted(tmp_path) as world:
        seen = await report_of(world, reporting("app", runAsUser=21_001), "app")

    assert seen["user"][:3] == [21_001] * 3
    assert 0 not in seen["user"][3:]


async def test_a_bundle_runs_as_the_requested_user(tmp_path: Path) -> None:
    source = app(tmp_path / "app", **{"app.py": APP, "requirements.txt": ""})
    (source / "app.py").chmod(0o600)
    async with rooted(tmp_path) as world:
        built = build(tmp_path, source)
        (tmp_path / "bundles").chmod(0o711)
        obj = pod("app", securityContext={"runAsUser": 21_001})
        obj["spec"]["containers"][0] |= {"image": built.image, "command": None}
        await world.create(obj)
        ready = await world.ready("app")

        assert await world.logs(ready) == f"{built.folder / 'env'} {built.source}\n"


async def test_root_is_refused_with_its_field_unless_a_setting_allows_it(tmp_path: Path) -> None:
    async with rooted(tmp_path) as world:
        await world.create(reporting("app", runAsUser=0))
        refused = await world.until("app", lambda obj: bool(waiting(obj).get("message")))
        assert waiting(refused)["reason"] == "CreateContainerConfigError"
        assert waiting(refused)["message"].startswith("securityContext.runAsUser: 0 is root")
        await world.until_event("Failed", "securityContext.runAsUser: 0 is root")


async def test_allowed_root_keeps_the_capabilities_that_it_does_not_drop(tmp_path: Path) -> None:
    async with rooted(tmp_path, allow_root=True) as world:
        obj = reporting("app", runAsUser=0, capabilities={"drop": ["ALL"]})
        obj["spec"]["containers"][0]["env"] = [{"name": "TMPDIR", "value": str(tmp_path)}]
        seen = await report_of(world, obj, "app")

    assert seen["user"] == [0] * 6
    assert seen["capabilities"] == ["0" * 16]


async def test_a_read_only_file_system_is_one(tmp_path: Path) -> None:
    async with rooted(tmp_path) as world:
        seen = await report_of(world, reporting("app", readOnlyRootFilesystem=True), "app")

    writes = seen["writes"]
    allowed = {path for path, answer in writes.items() if answer == "ok"}
    assert "/dev/null" in allowed
    assert all(path.startswith("/dev/") for path in allowed)


async def test_the_default_seccomp_profile_refuses_system_calls_that_apps_do_not_need(tmp_path: Path) -> None:
    async with rooted(tmp_path) as world:
        seen = await report_of(world, reporting("app", seccompProfile={"type": "RuntimeDefault"}), "app")

    assert seen["filtered"] == "2"
    assert not seen["unshares"]


async def test_an_exec_probe_runs_as_the_user_of_its_container(tmp_path: Path) -> None:
    script = "{ id -u; id -g; pwd; grep NoNewPrivs /proc/self/status; } > $HOME/probe"
    probe = {"exec": {"command": ["sh", "-c", script]}, "successThreshold": 1}
    async with rooted(tmp_path) as world:
        await world.create(
            pod(
                "app",
                readinessProbe=probe,
                workingDir="/usr",
                securityContext={"runAsUser": 21_001, "runAsGroup": 21_002},
            )
        )
        ready = await world.ready("app")
        home = scratch_folder(tmp_path / "instances" / uid(ready), "user-container") / "home"

        assert (home / "probe").read_text().split() == ["21001", "21002", "/usr", "NoNewPrivs:", "1"]


@pytest.mark.skipif(native.compiler() is None, reason="no C++ compiler")
async def test_no_library_that_an_app_preloads_ever_runs_as_root(tmp_path: Path) -> None:
    out = tmp_path / "ran-as"
    out.touch()
    out.chmod(0o666)
    source = tmp_path / "evil.cc"
    source.write_text(
        "#include <fstream>\n#include <unistd.h>\n__attribute__((constructor)) static void run() "
        f'{{ std::ofstream("{out}", std::ios::app) << geteuid() << "\\n"; }}\n'
    )
    library = tmp_path / "evil.so"
    subprocess.run([*(native.compiler() or ()), "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    library.chmod(0o755)
    probe = {"exec": {"command": ["true"]}, "successThreshold": 1}
    async with rooted(tmp_path) as world:
        again = [sys.executable, "-c", LISTENS]
        loads = f"os.execve({again[0]!r}, {again!r}, {{**os.environ, 'LD_PRELOAD': {str(library)!r}}})"
        obj = pod("app", *python(f"import os; {loads}"), readinessProbe=probe)
        preload = [{"name": "LD_PRELOAD", "value": str(library)}]
        side = {"name": "side", "image": "tidegate.dev/host", "command": ["sleep", "60"], "env": preload}
        obj["spec"]["containers"].append(side)
        await world.create(obj)
        await world.ready("app")
        await world.until("app", lambda _: bool(out.read_text()))
        assert "0" not in out.read_text().split()


async def test_a_program_that_the_user_cannot_reach_is_refused_with_the_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "program").write_text("#!/bin/sh\n")
    (closed / "program").chmod(0o755)
    launch = ProcessSpec("pod", "c", [str(closed / "program")], {}, confinement=Confinement(user=21_001, group=21_001))

    with pytest.raises(LaunchRejected, match=f"the app runs as user 21001, who may not pass {closed}"):
        await process_runtime(tmp_path / "instances").run(launch)


async def test_a_mark_in_another_users_environment_makes_no_member_of_an_instance(tmp_path: Path) -> None:
    runtime = process_runtime(tmp_path / "instances")
    sleeps, environment = ["sleep", "300"], {"PATH": "/usr/bin:/bin"}
    mine = await runtime.run(
        ProcessSpec("pod", "c", sleeps, environment, confinement=Confinement(user=21_001, group=21_001))
    )
    marked = {sweep.MARK: sweep.mark(tmp_path / "instances", "pod/c"), **environment}
    forger = subprocess.Popen(sleeps, env=marked, user=21_002, group=21_002, extra_groups=[], start_new_session=True)
    child = subprocess.Popen(sleeps, env=marked, user=21_001, group=21_001, extra_groups=[], start_new_session=True)
    try:
        members = {member.process.pid for member in await runtime.processes.members("pod/c")}
        assert members == {mine.process.pid, child.pid}

        await mine.kill()
        assert forger.poll() is None
        assert child.wait() == -signal.SIGKILL
    finally:
        for process in (forger, child):
            process.kill()
            process.wait()


@pytest.mark.parametrize("number", [-1, 2**32 - 1, 2**32, 2**63 - 1])
async def test_a_number_that_the_kernel_would_read_as_roots_makes_no_app_root(tmp_path: Path, number: int) -> None:
    """The launcher does not rely on who gives it its orders."""
    runtime = process_runtime(tmp_path / "instances")
    shell = ["sh", "-c", "id"]
    for confinement in (
        Confinement(user=number, group=21_001),
        Confinement(user=21_001, group=number),
        Confinement(user=21_001, group=21_001, groups=(number,)),
    ):
        with pytest.raises(LaunchRejected, match="cannot start sh: "):
            await runtime.run(ProcessSpec("pod", "c", shell, {"PATH": "/usr/bin:/bin"}, confinement=confinement))
    assert sweep.find(tmp_path / "instances", {}) == {}
