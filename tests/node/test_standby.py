# SPDX-License-Identifier: Apache-2.0
"""Instances on standby: frozen once they are ready and idle, thawed when a request needs them."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from harness.apiserver import cluster_of, opened
from harness.node import World, agent, container, is_ready, node, pod, process_of, process_runtime, python
from harness.waiting import eventually
from tests.node.virtual import virtual
from tidegate.kit.processes import Process
from tidegate.model import names, pods
from tidegate.model.conditions import condition
from tidegate.model.kinds import POD
from tidegate.model.objects import Key, Object, status
from tidegate.node.runtimes.process.end import end_instances
from tidegate.node.runtimes.process.freezer import SignalFreezer

APP = Key("default", "app")
SAYS_BYE = """
import os, signal, socket, sys, time
def bye(*_):
    print("bye", flush=True)
    time.sleep(0.05)
    sys.exit(0)
signal.signal(signal.SIGTERM, bye)  # before it listens, because it is frozen as soon as it does
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    connection, _ = server.accept()
    connection.close()
"""


def standing_by(*command: str, **container: Any) -> Object:
    obj = pod("app", *command, **container)
    obj["metadata"]["labels"][names.STANDBY] = "true"
    return obj


async def frozen(world: World) -> Object:
    return await world.until("app", pods.is_frozen)


async def ask(world: World, *, standby: bool) -> None:
    await world.cluster.patch(POD, APP, {"metadata": {"labels": {names.STANDBY: "true" if standby else None}}})


def is_stopped(obj: Object) -> bool:
    """By signals, which is how the runtime of these tests freezes."""
    stat = Path(f"/proc/{process_of(obj).pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


async def stopped(obj: Object) -> None:
    """Returns once the app is stopped: the kernel delivers a signal a moment after it was sent."""
    await eventually(lambda: is_stopped(obj), "the app is stopped")


async def test_an_instance_on_standby_is_frozen_once_it_is_ready_and_its_status_says_so(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(standing_by())
        obj = await frozen(world)

        await stopped(obj)
        assert status(obj)["phase"] == "Running"
        assert status(obj)["reason"] == "Standby"
        assert container(obj)["ready"]
        assert condition(obj, "Ready")["reason"] == "Frozen"
        assert not is_ready(obj)


async def test_an_instance_whose_label_is_removed_is_thawed_and_ready_as_the_same_process(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(standing_by())
        before = await frozen(world)

        await ask(world, standby=False)
        after = await world.ready("app")

        assert process_of(after) == process_of(before)
        await eventually(lambda: not is_stopped(after), "the app runs")
        assert "reason" not in status(after)
        assert condition(after, names.AWAKE)["status"] == "True"


async def test_an_instance_in_use_is_frozen_once_it_has_no_request(tmp_path: Path) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def drained(revision: Key, endpoint: str) -> None:
        asked.set()
        await answered.wait()

    async with node(tmp_path, drained=drained) as world:
        await world.create(pod("app"))
        await world.ready("app")

        await ask(world, standby=True)
        await asked.wait()
        going = await world.until("app", lambda obj: condition(obj, names.AWAKE)["status"] == "False")
        assert condition(going, names.AWAKE)["reason"] == "GoingToStandby"
        assert not is_stopped(going)
        answered.set()
        await stopped(await frozen(world))


async def test_an_instance_that_is_woken_while_it_drains_keeps_running(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def drained(revision: Key, endpoint: str) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with node(tmp_path, drained=drained) as world:
        await world.create(pod("app"))
        await world.ready("app")
        await ask(world, standby=True)
        await asked.wait()
        await world.until("app", lambda obj: condition(obj, names.AWAKE)["status"] == "False")

        await ask(world, standby=False)

        await world.until("app", lambda obj: is_ready(obj) and condition(obj, names.AWAKE)["status"] == "True")


async def test_a_woken_instance_is_announced_before_its_pod_says_so(tmp_path: Path) -> None:
    announced: list[str | None] = []
    async with node(tmp_path, announce=lambda pod, address: announced.append(address)) as world:
        await world.create(standing_by())
        obj = await frozen(world)
        assert announced == []  # nobody is sent to it

        world.agent.wake(APP)
        assert announced == [pods.endpoint(obj)]
        await eventually(lambda: not is_stopped(obj), "the app runs")

        await ask(world, standby=False)
        await world.ready("app")
        assert announced == [pods.endpoint(obj)]


async def test_a_deleted_instance_is_thawed_so_that_its_app_can_end(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(standing_by(*python(SAYS_BYE)))
        obj = await frozen(world)
        log = world.folder / "instances" / obj["metadata"]["uid"] / "user-container.log"
        kept = log.open()

        await world.cluster.delete(POD, APP)
        await world.deleted("app")

        with kept:
            assert kept.read() == "bye\n"
        assert not process_of(obj).alive


async def test_an_instance_that_is_killed_on_standby_is_started_and_frozen_again(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(standing_by())
        before = await frozen(world)

        process_of(before).signal(signal.SIGKILL)

        after = await world.until("app", lambda obj: pods.is_frozen(obj) and container(obj)["restartCount"] == 1)
        assert process_of(after) != process_of(before)
        await stopped(after)


FIRST = """
import asyncio, sys
from pathlib import Path
from tests.node.test_standby import frozen, standing_by
from harness.node import node
async def main():
    async with node(Path(sys.argv[1])) as world:
        await world.create(standing_by())
        await frozen(world)
        print("frozen", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def left_frozen(tmp_path: Path) -> Path:
    """The folder of an agent that froze an instance and was killed."""
    program = [sys.executable, "-c", FIRST, str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as first:
        assert first.stdout is not None
        lines = iter(first.stdout.readline, b"")
        assert b"frozen\n" in lines, "the first agent ended"
        first.kill()
    return tmp_path


async def test_the_next_agent_adopts_a_frozen_instance_without_a_write_and_can_wake_it(left_frozen: Path) -> None:
    async with opened(left_frozen) as api:
        before = await cluster_of(api, "test").get(POD, APP)
        await stopped(before)
        async with agent(left_frozen, api) as world:
            await world.until_node()
            assert await world.get("app") == before
            await stopped(before)

            await ask(world, standby=False)
            after = await world.ready("app")
            assert process_of(after) == process_of(before)
            await eventually(lambda: not is_stopped(after), "the app runs")


async def test_the_next_agent_thaws_an_instance_whose_label_was_removed(left_frozen: Path) -> None:
    async with opened(left_frozen) as api:
        cluster = cluster_of(api, "test")
        before = await cluster.get(POD, APP)
        await cluster.patch(POD, APP, {"metadata": {"labels": {names.STANDBY: None}}})
        async with agent(left_frozen, api) as world:
            after = await world.ready("app")
            assert process_of(after) == process_of(before)
            await eventually(lambda: not is_stopped(after), "the app runs")


async def test_the_next_agent_freezes_an_instance_again_that_was_thawed_without_a_write(left_frozen: Path) -> None:
    async with opened(left_frozen) as api:
        obj = await cluster_of(api, "test").get(POD, APP)
        process_of(obj).signal(signal.SIGCONT)
        async with agent(left_frozen, api) as world:
            await stopped(obj)
            assert pods.is_frozen(await world.get("app") or {})


async def test_the_next_agent_makes_an_instance_ready_that_was_frozen_without_a_write(left_frozen: Path) -> None:
    async with opened(left_frozen) as api:
        cluster = cluster_of(api, "test")
        obj = await cluster.get(POD, APP)
        unready = [{**container(obj), "ready": False}]
        patch = {"status": {"containerStatuses": unready, "conditions": [], "reason": None}}
        await cluster.patch(POD, APP, patch, subresource="status")
        async with agent(left_frozen, api) as world:
            after = await frozen(world)
            assert process_of(after) == process_of(obj)
            await stopped(after)


async def test_frozen_instances_of_a_killed_control_plane_are_ended_without_it(left_frozen: Path) -> None:
    async with opened(left_frozen) as api:
        obj = await cluster_of(api, "test").get(POD, APP)

    assert await end_instances(left_frozen / "instances", 30) == 1  # by SIGTERM, long before that

    assert not process_of(obj).alive


async def test_a_frozen_instance_is_not_probed_and_a_woken_one_is(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        obj = standing_by("x", livenessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 10, "failureThreshold": 1})
        await node.create(obj)
        await node.turn(1)
        assert pods.is_frozen(await node.get())
        assert node.running.frozen

        node.runtime.ready = False  # were it asked, it would fail
        await node.turn(300)
        assert pods.is_frozen(await node.get())
        assert len(node.runtime.launched) == 1

        await ask(node.world, standby=False)
        await node.rest()
        assert is_ready(await node.get())
        await node.turn(60)
        assert container(await node.get())["restartCount"] > 0


async def test_a_woken_instance_whose_pod_keeps_its_label_is_frozen_again(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(standing_by("x"))
        await node.turn(1)

        node.world.agent.wake(APP)
        await node.turn(4)
        assert not node.running.frozen
        await node.turn(1)
        assert node.running.frozen


async def test_an_instance_that_is_woken_before_it_is_ready_becomes_ready(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        node.runtime.ready = False
        await node.create(standing_by("x"))
        await node.turn(1)
        assert not node.running.frozen

        await ask(node.world, standby=False)
        node.runtime.ready = True
        await node.turn(1)

        assert is_ready(await node.get())
        assert len(node.runtime.launched) == 1


async def test_an_instance_that_cannot_be_frozen_stays_running_on_standby(tmp_path: Path) -> None:
    class Refuses(SignalFreezer):
        def freeze(self, name: str, processes: Iterable[Process]) -> None:
            raise PermissionError(1, "Operation not permitted")

    runtime = process_runtime(tmp_path / "instances", freezer=Refuses())
    async with node(tmp_path, runtime=runtime) as world:
        with capture_logs() as logs:
            await world.create(standing_by())
            await world.until("app", lambda obj: container(obj).get("ready", False))
            await eventually(
                lambda: any("cannot freeze instance" in entry["event"] for entry in logs), "a warning in the log"
            )

        world.agent.wake(APP)
        await ask(world, standby=False)
        await world.ready("app")
