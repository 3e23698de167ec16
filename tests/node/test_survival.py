# SPDX-License-Identifier: Apache-2.0
"""The control plane is killed; instances continue, and the next agent adopts them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.apiserver import cluster_of, opened
from harness.node import World, agent, container, is_ready, no_requests, pod, process_of, process_runtime, python
from harness.waiting import eventually
from tidegate.model import errors, names
from tidegate.model.admission import AdmissionRequest, Admitted
from tidegate.model.kinds import POD, Kind
from tidegate.model.objects import Key, Object, annotations
from tidegate.model.pods import endpoint
from tidegate.node.runtimes.process import sweep
from tidegate.node.runtimes.process.end import end_instances
from tidegate.node.runtimes.process.spec import ProcessSpec

FIRST = """
import asyncio, sys
from pathlib import Path
from harness.node import node, pod
async def main():
    async with node(Path(sys.argv[1])) as world:
        for name in sys.argv[2:]:
            await world.create(pod(name))
        for name in sys.argv[2:]:
            await world.ready(name)
        print("ready", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def run_and_kill(folder: Path, *pods: str) -> None:
    """An agent in a process of its own that makes these Pods ready and is then killed with SIGKILL."""
    program = [sys.executable, "-c", FIRST, str(folder), *pods]
    first = subprocess.Popen(program, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert first.stdout is not None
    try:
        while (line := await asyncio.to_thread(first.stdout.readline)) != b"ready\n":
            assert line, "the first agent ended"
    finally:
        first.kill()
        first.wait()
        first.stdout.close()


@asynccontextmanager
async def next_agent(folder: Path) -> AsyncIterator[World]:
    async with opened(folder) as api, agent(folder, api) as world:
        yield world


def waits_for(obj: Object) -> str:
    return str(container(obj)["state"].get("waiting", {}).get("reason"))


async def test_the_next_agent_adopts_running_instances_and_manages_them(tmp_path: Path) -> None:
    await run_and_kill(tmp_path, "lives")

    async with opened(tmp_path) as api:
        before = await cluster_of(api, "test").get(POD, Key("default", "lives"))
        assert process_of(before).alive
        async with agent(tmp_path, api) as world:
            after = await world.get("lives")
            assert after == before  # ready all the time, and not one write
            assert await world.agent.usage(Key("default", "lives")) is not None

            os.kill(process_of(before).pid, signal.SIGKILL)
            again = await world.until("lives", lambda obj: is_ready(obj) and container(obj)["restartCount"] == 1)
            assert endpoint(again) == endpoint(before)
            assert process_of(again) != process_of(before)

            await world.cluster.delete(POD, Key("default", "lives"))
            await world.deleted("lives")
            assert not process_of(again).alive


async def test_an_instance_that_died_without_an_agent_is_reported_before_the_agent_is_settled(tmp_path: Path) -> None:
    await run_and_kill(tmp_path, "dies", "lives")
    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "test")
        dead = await cluster.get(POD, Key("default", "dies"))
        process_of(dead).signal(signal.SIGKILL)
        await process_of(dead).ended()
        async with agent(tmp_path, api) as world:
            reported = await world.get("dies")
            assert reported is not None
            assert not is_ready(reported)
            assert is_ready(await world.get("lives") or {})
            again = await world.until("dies", lambda obj: is_ready(obj) and process_of(obj) != process_of(dead))
            assert container(again)["restartCount"] == 1


async def test_a_full_disk_delays_no_agent_and_no_gateway_sends_to_a_dead_instance(tmp_path: Path) -> None:
    await run_and_kill(tmp_path, "dies", "lives")
    is_full = True
    announced: list[tuple[str, str | None]] = []

    def admit(kind: Kind, new: Object, old: Object | None, request: AdmissionRequest) -> Admitted:
        if is_full and kind is POD:
            raise errors.InsufficientStorage("no space left on device")
        return Admitted(new)

    def announce(obj: Object, address: str | None) -> None:
        announced.append((obj["metadata"]["name"], address))

    async with opened(tmp_path, admit=admit) as api:
        dead = await cluster_of(api, "test").get(POD, Key("default", "dies"))
        process_of(dead).signal(signal.SIGKILL)
        await process_of(dead).ended()
        async with agent(tmp_path, api, announce=announce) as world:
            assert ("dies", None) in announced
            assert is_ready(await world.get("dies") or {})  # which could not be written

            is_full = False
            again = await world.until("dies", lambda obj: process_of(obj) != process_of(dead) and is_ready(obj))
            assert announced[-1] == ("dies", endpoint(again))
            assert is_ready(await world.get("lives") or {})


async def test_a_file_in_place_of_a_pods_folder_delays_no_other_pod(tmp_path: Path) -> None:
    await run_and_kill(tmp_path, "damaged", "lives")
    async with opened(tmp_path) as api:
        damaged = await cluster_of(api, "test").get(POD, Key("default", "damaged"))
        folder = tmp_path / "instances" / damaged["metadata"]["uid"]
        folder.rename(tmp_path / "elsewhere")
        folder.write_text("no folder")
        async with agent(tmp_path, api) as world:
            assert not process_of(damaged).alive
            assert is_ready(await world.get("lives") or {})
            await world.until("damaged", lambda obj: waits_for(obj) == "CreateContainerError")

            folder.unlink()
            await world.ready("damaged")


async def test_the_processes_of_a_deleted_pod_are_ended(tmp_path: Path) -> None:
    await run_and_kill(tmp_path, "orphan")
    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "test")
        orphan = await cluster.get(POD, Key("default", "orphan"))
        await cluster.delete(POD, Key("default", "orphan"), grace_seconds=0)
        assert process_of(orphan).alive
        async with agent(tmp_path, api):
            assert not process_of(orphan).alive
            assert not (tmp_path / "instances" / orphan["metadata"]["uid"]).exists()


async def test_a_process_that_was_never_recorded_is_found_by_its_mark_and_ended(tmp_path: Path) -> None:
    instances = tmp_path / "instances"
    runtime = process_runtime(instances)
    mark = {sweep.MARK: sweep.mark(instances, "some-pod/user-container"), "PATH": os.environ["PATH"]}
    stray = subprocess.Popen(["/bin/sleep", "300"], env=mark, start_new_session=True)
    environment = Path(f"/proc/{stray.pid}/environ")
    try:
        # The kernel reports a program's start to the parent a moment before it shows the program's environment.
        await eventually(lambda: bool(environment.read_bytes()), "the environment of the program")
        assert list(await runtime.processes.look()) == ["some-pod/user-container"]
        await runtime.forget_others(["some-pod"])
        assert stray.wait() == -signal.SIGKILL
    finally:
        stray.kill()
        stray.wait()


@pytest.mark.parametrize("owner", ["../x", "./x", "/x", "x", "a/../b", "a/b/c", "a\n/b", ""])
async def test_a_mark_that_is_no_owner_removes_no_file_and_ends_no_process(tmp_path: Path, owner: str) -> None:
    """Every user of the host may start a process with any mark."""
    instances = tmp_path / "instances"
    runtime = process_runtime(instances)
    (instances / "pod").mkdir()
    (tmp_path / "state.db").touch()
    marked = subprocess.Popen(["/bin/sleep", "300"], env={sweep.MARK: sweep.mark(instances, owner)})
    try:
        await runtime.forget_others(["pod"])
        assert marked.poll() is None
    finally:
        marked.kill()
        marked.wait()
    assert {path.name for path in tmp_path.iterdir()} == {"instances", "state.db"}
    assert (instances / "pod").is_dir()


async def test_a_record_of_another_boot_or_of_a_reused_pid_adopts_nothing(tmp_path: Path) -> None:
    runtime = process_runtime(tmp_path)
    running = await runtime.run(ProcessSpec("pod", "c", ("/bin/sleep", "300"), {"PATH": "/bin:/usr/bin"}, port=1234))
    try:
        assert process_runtime(tmp_path).adopt("pod", "c") is not None
        assert process_runtime(tmp_path).port("pod") == 1234
        record = tmp_path / "pod" / "record.json"
        whole = record.read_text()
        for changed in (
            whole.replace('"boot":"', '"boot":"x'),
            whole.replace(f"{running.process.started}]", "1]"),
            "{",
        ):
            record.write_text(changed)
            assert process_runtime(tmp_path).adopt("pod", "c") is None
            assert process_runtime(tmp_path).port("pod") == 0
    finally:
        await running.kill()


async def test_end_leaves_no_process_behind(tmp_path: Path) -> None:
    await run_and_kill(tmp_path, "one", "two")

    ended = await end_instances(tmp_path / "instances", 5.0)

    assert ended == 2
    assert sweep.find(tmp_path / "instances", {}) == {}
    assert await end_instances(tmp_path / "nothing", 5.0) == 0


async def test_a_clean_stop_ends_all_instances_and_the_next_agent_starts_them_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        async with agent(tmp_path, api, drained=no_requests) as world:
            await world.create(pod("again"))
            first = await world.ready("again")
        stopped = await world.get("again")
        assert stopped is not None
        assert not is_ready(stopped)
        assert not process_of(first).alive
        async with agent(tmp_path, api) as world:
            second = await world.ready("again")
            assert annotations(second)[names.PORT]
            assert container(second)["restartCount"] == 1


async def test_many_apps_that_crash_at_once_share_scans(tmp_path: Path) -> None:
    async with opened(tmp_path) as api, agent(tmp_path, api) as world:
        for number in range(20):
            await world.create(pod(f"crash-{number}", *python("raise SystemExit(3)")))
        for number in range(20):
            await world.until(f"crash-{number}", lambda obj: container(obj).get("restartCount") == 2)


async def test_an_exec_probe_has_the_original_environment_of_its_app(tmp_path: Path) -> None:
    """Also where another agent gave it, and with the container's own folder."""
    runtime = process_runtime(tmp_path / "instances")
    forgets = ("env", "-i", "-C", "/", "LD_PRELOAD=evil.so", "PATH=/nowhere", "/bin/sleep", "300")
    environment = {"PATH": "/usr/bin:/bin", "GIVEN": "yes"}
    running = await runtime.run(ProcessSpec("pod", "c", forgets, environment, tmp_path))
    adopted = process_runtime(tmp_path / "instances").adopt("pod", "c")
    assert adopted is not None
    try:
        shown = Path(f"/proc/{running.process.pid}/environ")
        await eventually(lambda: b"LD_PRELOAD" in shown.read_bytes(), "the app changes its environment")
        for name, one in {"first": running, "next": adopted}.items():
            assert await one.execute(["sh", "-c", f"pwd > {name}; env >> {name}"]) == 0
            folder, *variables = (tmp_path / name).read_text().splitlines()
            assert folder == str(tmp_path)
            assert {"PATH=/usr/bin:/bin", "GIVEN=yes"} <= set(variables)
            assert not any(variable.startswith("LD_PRELOAD") for variable in variables)
            assert await one.execute(["false"]) == 1
            assert await one.execute(["nothing-of-that-name"]) == 127
            assert await one.execute(["/etc/passwd"]) == 126
    finally:
        await running.kill()
    assert (tmp_path / "instances" / "pod" / "record.json").stat().st_mode & 0o077 == 0
