# SPDX-License-Identifier: Apache-2.0
"""What a real container sees and may do."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from harness.oci import OciWorld, pod, shell
from tidegate.kit.processes import USUAL_PATH
from tidegate.node.runtime import LaunchRejected

pytestmark = [pytest.mark.needs("root", "conmon", "runc", "busybox")]


async def printed(world: OciWorld, script: str, fields: dict[str, Any] | None = None, **of_pod: Any) -> str:
    """The output of a script in a container with these fields."""
    app = pod({**shell(script), **(fields or {})}, **of_pod)
    running = await (await world.create(app)).start()
    await running.ended()
    return world.log(app)


async def test_a_container_has_the_variables_of_its_image_and_of_its_spec(world: OciWorld) -> None:
    world.configure(env={"A": "image", "B": "image"})
    app = pod(shell("/bin/busybox env | /bin/busybox sort"))

    running = await (await world.create(app, {"B": "spec"})).start()
    await running.ended()

    name = app["metadata"]["name"]
    assert world.log(app).splitlines() == [
        *("A=image", "B=spec", "HOME=/root", f"HOSTNAME={name}", f"PATH={USUAL_PATH}", "PWD=/", "SHLVL=1"),
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "image command"),
        ({"args": ["given"]}, "image given"),
        ({"command": ["/bin/echo"]}, ""),
        ({"command": ["/bin/echo"], "args": ["given", "$(NAME)"]}, "given value"),
    ],
)
async def test_the_command_of_the_spec_replaces_that_of_the_image(
    world: OciWorld, fields: dict[str, Any], expected: str
) -> None:
    world.configure(entrypoint=("/bin/echo", "image"), cmd=("command",))
    app = pod(fields)

    running = await (await world.create(app, {"NAME": "value"})).start()
    await running.ended()

    assert world.log(app).strip() == expected


async def test_an_image_without_a_command_needs_one(world: OciWorld) -> None:
    with pytest.raises(LaunchRejected, match="no command specified"):
        await world.create(pod({}))


@pytest.mark.parametrize(
    ("image_user", "context", "expected"),
    [
        ("", {}, "0 0 0"),
        ("app", {}, "1000 1000 1000 2000"),
        ("1000", {}, "1000 1000 1000 2000"),
        ("1000:2000", {}, "1000 2000 2000"),
        ("app:extra", {"runAsUser": 65532}, "65532 0 0"),
        ("app", {"runAsGroup": 7}, "1000 7 7 2000"),
        ("app", {"supplementalGroups": [5], "fsGroup": 6}, "1000 1000 5 6 1000 2000"),
    ],
)
async def test_the_user_is_of_the_spec_or_of_the_image(
    world: OciWorld, image_user: str, context: dict[str, Any], expected: str
) -> None:
    world.configure(user=image_user)

    found = await printed(world, "id -u; id -g; id -G", securityContext=context)

    assert _ids(found) == _ids(expected)


def _ids(text: str) -> tuple[str, ...]:
    """Numbers: user, group, all groups in order."""
    user, group, *groups = re.findall(r"\d+", text)
    return user, group, *sorted(set(groups))


async def test_a_user_that_is_not_root_may_listen_on_port_80_and_write_its_log(world: OciWorld) -> None:
    script = "timeout 0.2 nc -l -p 80; echo $?; echo more >> /dev/stdout; echo error >> /dev/stderr"

    found = await printed(world, script, {"securityContext": {"runAsUser": 1000}})

    assert "Permission denied" not in found
    assert found.splitlines()[-2:] == ["more", "error"]


async def test_the_working_directory_is_made(world: OciWorld) -> None:
    world.configure(working_dir="/work/new")

    assert await printed(world, "pwd") == "/work/new\n"
    assert await printed(world, "pwd", {"workingDir": "/other/new"}) == "/other/new\n"


async def test_a_working_directory_through_a_link_stays_inside(world: OciWorld, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    layer = world.images.found.layers[0]
    (layer / "link").symlink_to(f"../../../../../../../../{outside}")
    (layer / "etc/passwd").unlink()
    (layer / "etc/passwd").symlink_to("/etc/shadow")

    with pytest.raises(LaunchRejected, match="mkdir /link: file exists"):
        await printed(world, "pwd", {"workingDir": "/link/new"})
    assert list(outside.iterdir()) == []


async def test_a_container_has_the_standard_devices_and_no_console(world: OciWorld) -> None:
    found = await printed(world, "ls /dev; ls -l /dev/fd /dev/stdin; echo x > /dev/null; head -c 1 /dev/zero | wc -c")

    names = set(found.split())
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue"} <= names
    assert "console" not in names
    assert "/proc/self/fd" in found


async def test_stdin_is_at_its_end(world: OciWorld) -> None:
    assert await printed(world, "cat; echo done") == "done\n"


async def test_a_container_sees_its_own_processes_and_host_name(world: OciWorld) -> None:
    app = pod(shell("ps | wc -l; echo $$$$; cat /proc/sys/kernel/hostname /etc/hostname"))

    running = await (await world.create(app)).start()
    await running.ended()

    count, pid, *names = world.log(app).split()
    assert int(count) <= 4
    assert pid == "1"
    assert names == [app["metadata"]["name"]] * 2


@pytest.mark.parametrize(
    "path", ["/proc/sys/kernel/hostname", "/sys/fs/cgroup/x", "/proc/sysrq-trigger", "/sys/kernel/x", "/proc/irq/x"]
)
async def test_the_host_cannot_be_changed(world: OciWorld, path: str) -> None:
    found = await printed(world, f"echo x > {path}; echo $?")

    assert found.splitlines()[-1] == "1", found


async def test_secrets_of_the_kernel_are_hidden(world: OciWorld) -> None:
    found = await printed(world, "cat /proc/keys /proc/interrupts | head -c 20; ls /sys/firmware")

    assert found == ""


async def test_capabilities_are_the_default_set(world: OciWorld) -> None:
    found = await printed(world, "grep Cap /proc/self/status")

    assert _capabilities(found) == {
        "CapInh": 0,
        "CapPrm": 0xA80425FB,
        "CapEff": 0xA80425FB,
        "CapBnd": 0xA80425FB,
        "CapAmb": 0,
    }


async def test_capabilities_are_dropped_and_added(world: OciWorld) -> None:
    context = {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "allowPrivilegeEscalation": False}

    found = await printed(world, "cat /proc/self/status", {"securityContext": context})

    assert _capabilities(found)["CapBnd"] == 1 << 10
    assert "NoNewPrivs:\t1" in found


def _capabilities(status: str) -> dict[str, int]:
    return {name: int(value, 16) for name, value in re.findall(r"(Cap\w+):\s+(\w+)", status)}


async def test_the_default_filter_of_system_calls_applies_unless_it_is_switched_off(world: OciWorld) -> None:
    filtered = await printed(world, "grep Seccomp: /proc/self/status")
    unconfined = {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}

    assert filtered == "Seccomp:\t2\n"
    assert await printed(world, "grep Seccomp: /proc/self/status", unconfined) == "Seccomp:\t0\n"


async def test_a_read_only_root_file_system_has_writable_devices(world: OciWorld) -> None:
    context = {"securityContext": {"readOnlyRootFilesystem": True}}

    found = await printed(world, "touch /x; echo $?; echo y > /dev/shm/y; cat /dev/shm/y", context)

    assert found.splitlines()[-2:] == ["1", "y"]


async def test_containers_do_not_change_their_image(world: OciWorld) -> None:
    await printed(world, "echo changed > /etc/passwd; touch /new")

    assert await printed(world, "ls /new; head -n 1 /etc/passwd") != ""
    assert "root" in (world.images.found.layers[0] / "etc/passwd").read_text()
    assert not (world.images.found.layers[0] / "new").exists()


async def test_limits_of_cpu_memory_and_processes_apply(world: OciWorld) -> None:
    resources = {"limits": {"cpu": "500m", "memory": "100000001"}, "requests": {"cpu": "250m"}}
    running = await (await world.create(pod({**shell("sleep 60"), "resources": resources}))).start()

    def value(tree: str, file: str) -> str:
        return (Path("/sys/fs/cgroup") / tree / "tidegate" / running.folder.id / file).read_text().strip()

    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        assert value("memory", "memory.limit_in_bytes") == "99999744"
        assert (value("cpu", "cpu.cfs_quota_us"), value("cpu", "cpu.shares")) == ("50000", "256")
        assert value("pids", "pids.max") == "4096"


async def test_a_container_of_any_user_reads_its_own_limits(world: OciWorld) -> None:
    app = {"resources": {"limits": {"memory": "64Mi"}}, "securityContext": {"runAsUser": 65532}}
    before = os.umask(0o077)  # as Tidegate has it
    try:
        found = await printed(world, "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes", app)
    finally:
        os.umask(before)

    assert str(64 * 1024 * 1024) in found


async def test_the_containers_of_a_pod_share_ipc_memory_and_network(world: OciWorld) -> None:
    see = "ls -l /proc/self/ns/ipc; cat /dev/shm/x"
    app = pod({**shell("echo shared > /dev/shm/x"), "name": "app"}, {**shell(see), "name": "side"})
    await (await (await world.create(app)).start()).ended()
    await (await (await world.create(app, number=1)).start()).ended()
    other = pod({**shell(see), "name": "side"})
    await (await (await world.create(other)).start()).ended()

    assert world.log(app, "side").splitlines()[-1] == "shared"
    assert world.log(app, "side").splitlines()[0] != world.log(other, "side").splitlines()[0]


async def test_files_of_the_pod_name_it_and_its_name_servers(world: OciWorld) -> None:
    app = pod(shell("cat /etc/hosts /etc/resolv.conf"), hostAliases=[{"ip": "10.1.2.3", "hostnames": ["db"]}])

    running = await (await world.create(app)).start()
    await running.ended()

    log = world.log(app)
    assert f"127.0.0.1\t{app['metadata']['name']}\n10.1.2.3\tdb\n" in log
    assert "search default.svc.cluster.local svc.cluster.local cluster.local" in log
    assert "options ndots:5" in log


async def test_files_of_a_pod_without_containers_are_written_again(world: OciWorld) -> None:
    app = pod(shell("cat /etc/hosts"))
    created = await world.create(app)
    hosts = world.runtime.host.folders.pod(app["metadata"]["uid"]) / "pod" / "hosts"
    hosts.write_text("changed")
    await world.runtime.set_up_pod(app)
    assert hosts.read_text() == "changed"
    await created.remove()

    await world.runtime.set_up_pod(app)

    assert app["metadata"]["name"] in hosts.read_text()


async def test_volumes_are_mounted_as_the_spec_says(world: OciWorld, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "sub").mkdir(parents=True)
    (volume / "sub" / "file").write_text("content")
    places = [
        {"name": "v", "mountPath": "/data"},
        {"name": "v", "mountPath": "/data/ro", "readOnly": True, "subPath": "sub"},
        {"name": "v", "mountPath": "/file", "subPath": "sub/file"},
        {"name": "v", "mountPath": "/made", "subPathExpr": "new/$(NAME)"},
    ]
    script = "cat /data/ro/file /file; touch /data/new /data/ro/x; echo x > /made/y; ls /data"
    app = pod({**shell(script), "volumeMounts": places})

    running = await (await world.create(app, {"NAME": "given"}, volumes={"v": volume})).start()
    await running.ended()

    assert world.log(app).startswith("contentcontent")
    assert "Read-only file system" in world.log(app)
    assert (volume / "new" / "given" / "y").read_text() == "x\n"
    assert list((running.folder.path / "volumes").iterdir()) == []


@pytest.mark.parametrize("target", ["/etc", "../../../../../../etc", "/proc/self/root/etc"])
async def test_a_sub_path_does_not_lead_out_of_its_volume(world: OciWorld, tmp_path: Path, target: str) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "link").symlink_to(target)
    for path in ("link", "link/new"):
        app = pod({**shell("ls /data"), "volumeMounts": [{"name": "v", "mountPath": "/data", "subPath": path}]})
        with pytest.raises(LaunchRejected, match="leads out of the volume"):
            await world.create(app, volumes={"v": volume})
    assert not Path("/etc/new").exists()
