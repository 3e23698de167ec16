# SPDX-License-Identifier: Apache-2.0
"""Starts that fail leave nothing behind, and are tried again with a growing delay."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.node import is_ready, pod, process_runtime, waiting
from tests.node.virtual import virtual
from tidegate.kit.processes import Process
from tidegate.model.kinds import POD
from tidegate.model.objects import Key
from tidegate.node.runtime import Launch, LaunchRejected
from tidegate.node.runtimes.process import launcher, sweep
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.identity import hindrance
from tidegate.node.runtimes.process.launcher import Orders
from tidegate.node.runtimes.process.spec import ProcessSpec

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
ROOT = Path(__file__).parents[2]


async def test_a_program_that_cannot_be_recorded_never_runs(tmp_path: Path) -> None:
    runtime = process_runtime(tmp_path / "instances")
    (tmp_path / "instances" / "pod" / "record.json").mkdir(parents=True)  # so that no record can take its place

    with pytest.raises(LaunchRejected, match="cannot start touch: "):
        await runtime.run(ProcessSpec("pod", "c", ["touch", str(tmp_path / "ran")], ENVIRONMENT))

    assert sweep.find(tmp_path / "instances", {}) == {}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("program", "directory", "reason", "message"),
    [
        ("nothing-of-that-name", None, "ContainerMissing", "nothing-of-that-name is in none of the folders of PATH"),
        ("/usr/nothing", None, "ContainerMissing", "there is no program /usr/nothing on this host"),
        ("/etc/passwd", None, "CreateContainerError", "may not execute /etc/passwd: Permission denied"),
        ("/etc/passwd/x", None, "CreateContainerError", "may not execute /etc/passwd/x: Not a directory"),
        ("true", Path("/nowhere"), "CreateContainerError", "the working directory /nowhere does not exist"),
    ],
)
async def test_a_program_that_cannot_be_executed_is_refused_and_nothing_is_left(
    tmp_path: Path, program: str, directory: Path | None, reason: str, message: str
) -> None:
    runtime = process_runtime(tmp_path / "instances")

    with pytest.raises(LaunchRejected) as refused:
        await runtime.run(ProcessSpec("pod", "c", [program], ENVIRONMENT, directory))

    assert refused.value.reason == reason
    assert message in refused.value.message
    assert sweep.find(tmp_path / "instances", {}) == {}
    assert runtime.processes.leaders == {}


def test_a_process_whose_control_plane_dies_before_it_is_recorded_ends(tmp_path: Path) -> None:
    prepares = (
        "from tidegate.node.runtimes.process import launcher as l; print(l.start_waiting(2, {}).child.pid, flush=True)"
    )
    dies = f"import os; {prepares}; os._exit(0)"
    done = subprocess.run(
        [sys.executable, "-c", dies], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, check=True
    )
    process = Process.of(int(done.stdout))

    if process is not None:
        asyncio.run(process.ended())


async def test_a_start_that_another_process_stops_is_given_up_and_delays_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other processes of an app's user may send signals to one that is about to become the app."""
    monkeypatch.setattr(launcher, "ANSWERS_WITHIN", 0.05)
    with Path(os.devnull).open("wb") as nowhere:
        started = launcher.start_waiting(nowhere.fileno(), {})
    process = Process.of(started.child.pid)
    assert process is not None
    process.signal(signal.SIGSTOP)

    starting = asyncio.create_task(started.execute(Orders(["true"], ENVIRONMENT, Path("/"), Confinement())))
    await asyncio.sleep(0)  # returns: the loop continues

    with pytest.raises(launcher.LaunchError, match="it had not begun after 0"):
        await starting
    assert not process.alive


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    runtime = process_runtime(tmp_path / "instances")
    starting = asyncio.create_task(runtime.run(ProcessSpec("pod", "c", ["sleep", "300"], ENVIRONMENT)))
    await asyncio.sleep(0)
    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert sweep.find(tmp_path / "instances", {}) == {}
    assert runtime.processes.leaders == {}


@pytest.mark.parametrize(
    "launch",
    [
        ProcessSpec("pod", "c", ["true", "a\0b"], ENVIRONMENT),
        ProcessSpec("pod", "c", ["true"], {**ENVIRONMENT, "A\0B": "c"}),
        ProcessSpec("pod", "c", ["true"], {**ENVIRONMENT, "A": "b\0c"}),
        ProcessSpec("pod", "c", ["true"], ENVIRONMENT, Path("/\0001\0000\0000\0001\0true\0000\0end")),
    ],
    ids=["argument", "variable", "value", "folder"],
)
async def test_a_text_with_a_nul_is_refused(tmp_path: Path, launch: ProcessSpec) -> None:
    runtime = process_runtime(tmp_path / "instances")

    with pytest.raises(LaunchRejected, match="holds a NUL, which no program can be given"):
        await runtime.run(launch)

    assert sweep.find(tmp_path / "instances", {}) == {}


@pytest.mark.skipif(hindrance() != "", reason="only root, with its capabilities, starts others' processes")
def test_another_users_app_has_the_usual_limits_of_files_whatever_the_control_plane_took(tmp_path: Path) -> None:
    starts = """
import asyncio, sys
from pathlib import Path
from tidegate.kit.processes import raise_open_files_limit
from harness.node import process_runtime
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.spec import ProcessSpec
raise_open_files_limit()
async def main():
    runtime = process_runtime(Path(sys.argv[1]))
    shell = ["sh", "-c", "ulimit -Sn; ulimit -Hn; id -u"]
    confinement = Confinement(user=21_001, group=21_001)
    running = await runtime.run(ProcessSpec("pod", "c", shell, {"PATH": "/usr/bin:/bin"}, confinement=confinement))
    await running.ended()
asyncio.run(main())
"""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = [sys.executable, "-c", starts, str(tmp_path)]
    subprocess.run(["prlimit", f"--nofile=256:{most}", *program], check=True, cwd=ROOT)

    assert (tmp_path / "pod" / "c.log").read_text().split() == ["256", str(most), "21001"]


async def test_an_unforeseen_failure_of_a_start_is_reported_and_retried_with_a_growing_delay(
    tmp_path: Path,
) -> None:
    tries = 0

    def fail(launch: Launch) -> None:
        nonlocal tries
        tries += 1
        raise RuntimeError("the disk is on fire")

    async with virtual(tmp_path) as node:
        node.runtime.reject = fail
        await node.create(pod("app"))
        assert tries == 1
        assert waiting(await node.get()) == {
            "reason": "RunContainerError",
            "message": "back-off 1s after RuntimeError: the disk is on fire",
        }
        await node.world.until_event("Failed", "RunContainerError: back-off 1s after RuntimeError: the disk is on fire")

        for seconds, expected in ((0.9, 1), (0.1, 2), (1.9, 2), (0.1, 3), (3.9, 3), (0.1, 4)):
            await node.turn(seconds)
            assert tries == expected

        node.runtime.reject = lambda launch: None
        await node.turn(8.0)
        assert is_ready(await node.get())


async def test_a_pod_that_waits_after_a_failure_can_be_deleted(tmp_path: Path) -> None:
    def fail(launch: Launch) -> None:
        raise RuntimeError("no")

    async with virtual(tmp_path) as node:
        node.runtime.reject = fail
        await node.create(pod("app"))
        await node.world.cluster.delete(POD, Key("default", "app"))
        await node.rest()

        await node.world.deleted("app")


async def test_a_launcher_that_is_stopped_before_it_has_read_its_orders_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launcher, "ANSWERS_WITHIN", 0.1)
    started = launcher.start_waiting(subprocess.DEVNULL, {})
    os.kill(started.child.pid, signal.SIGSTOP)

    with pytest.raises(launcher.LaunchError, match="it had not begun"):
        await started.execute(Orders(["true", "x" * 100_000], {}, Path("/"), Confinement()))

    assert started.child.wait() == -signal.SIGKILL


async def test_orders_that_fill_the_pipe_more_than_once_are_carried_out() -> None:
    started = launcher.start_waiting(subprocess.DEVNULL, {})

    await started.execute(Orders(["true", *["x" * 100_000] * 5], {"PATH": "/bin"}, Path("/"), Confinement()))

    assert started.child.wait() == 0
