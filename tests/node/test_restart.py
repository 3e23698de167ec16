# SPDX-License-Identifier: Apache-2.0
"""The agent as a part that may fail and run again in the same process."""

import asyncio
import os
import signal
from collections.abc import Collection
from pathlib import Path

import pytest

from harness.node import container, is_ready, node, pod, process_of, process_runtime, python
from tests.files import no_more_files
from tidegate.kit.supervision import HealthState
from tidegate.model.kinds import POD
from tidegate.model.objects import Key, Object
from tidegate.model.pods import endpoint
from tidegate.node import attempts
from tidegate.node.probe import Probe, ProbeTarget
from tidegate.node.runtimes.process.runtime import ProcessRuntime

EXITS_WITH_3 = """
import os, signal, socket, sys
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
signal.signal(signal.SIGUSR1, lambda *_: os._exit(3))
while True:
    server.accept()[0].close()
"""


def without_files_at_first(runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch) -> ProcessRuntime:
    """A runtime whose first look at its processes fails."""
    forget_others = runtime.forget_others

    async def fail(pods: Collection[str]) -> None:
        monkeypatch.setattr(runtime, "forget_others", forget_others)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(runtime, "forget_others", fail)
    return runtime


async def test_an_agent_that_cannot_adopt_tries_again_and_runs_pods_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node(
        tmp_path, runtime=without_files_at_first(process_runtime(tmp_path / "instances"), monkeypatch)
    ) as world:
        await world.create(pod("a"))
        await world.ready("a")

        part = world.supervisor.parts["node"]
        assert (part.state, part.restarts, part.error) == (HealthState.RUNNING, 1, "too many open files")


async def test_an_agent_that_runs_again_adopts_its_instances_and_sees_new_and_deleted_pods(
    tmp_path: Path,
) -> None:
    async with node(tmp_path) as world:
        for name in ("stays", "goes"):
            await world.create(pod(name, *python(EXITS_WITH_3)))
        before = {name: await world.ready(name) for name in ("stays", "goes")}

        world.supervisor.stop()
        await world.supervisor.stopped()
        await world.cluster.delete(POD, Key("default", "goes"))
        await world.create(pod("comes"))
        world.supervisor.start(pods=world.pods.run, node=world.agent.run)

        await world.ready("comes")
        await world.deleted("goes")
        assert process_of(await world.ready("stays")) == process_of(before["stays"])
        assert not process_of(before["goes"]).alive

        os.kill(process_of(before["stays"]).pid, signal.SIGUSR1)
        again = await world.until("stays", lambda obj: is_ready(obj) and container(obj)["restartCount"] == 1)
        assert container(again)["lastState"]["terminated"]["exitCode"] == 3


@pytest.mark.parametrize("action", [{"tcpSocket": {"port": 8080}}, {"exec": {"command": ["true"]}}])
async def test_an_agent_that_can_open_no_files_neither_ends_nor_withdraws_an_instance(
    tmp_path: Path, action: Object
) -> None:
    hindered = asyncio.Event()
    announced: list[str | None] = []

    async def attempt(probe: Probe, target: ProbeTarget) -> str | None:
        try:
            return await attempts.attempt(probe, target)
        except OSError:
            hindered.set()
            raise

    liveness = {**action, "periodSeconds": 1, "failureThreshold": 1}
    async with node(tmp_path, attempt=attempt, announce=lambda _, address: announced.append(address)) as world:
        await world.create(pod("a", livenessProbe=liveness))
        before = await world.ready("a")
        with no_more_files():
            await hindered.wait()
            hindered.clear()
            await hindered.wait()

        assert await world.get("a") == before
        assert announced == [endpoint(before)]


async def test_a_leftover_folder_of_a_deleted_pod_is_removed_and_no_other(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("lives"))
        folder = world.folder / "instances" / (await world.ready("lives"))["metadata"]["uid"]
        orphan, fresh = world.folder / "instances" / "orphan", world.folder / "instances" / "fresh"
        for place in (orphan, fresh):
            place.mkdir()
        for place in (folder, orphan):
            os.utime(place, (0, 0))

        await world.node.remove_orphans()

        assert not orphan.exists()
        assert folder.exists()
        assert fresh.exists()
        assert is_ready(await world.get("lives") or {})
