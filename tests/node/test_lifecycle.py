# SPDX-License-Identifier: Apache-2.0
"""The times of the agent's actions, in virtual time, with containers in memory."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.node import agent, container, is_ready, no_requests, pod, waiting
from tests.node.virtual import virtual
from tidegate.model import names
from tidegate.model.conditions import condition
from tidegate.model.kinds import POD
from tidegate.model.objects import Key, Object, annotations, spec, status
from tidegate.model.pods import awaited
from tidegate.node.runtime import Launch, LaunchRejected


def with_grace(seconds: int) -> Object:
    obj = pod("app", "x")
    return {**obj, "spec": {**obj["spec"], "terminationGracePeriodSeconds": seconds}}


async def test_the_first_restart_is_immediate_and_the_next_ones_wait_ten_seconds_doubling_to_five_minutes(
    tmp_path: Path,
) -> None:
    async with virtual(tmp_path) as node:
        await node.create(pod("app", "x"))
        await node.crash()
        assert len(node.runtime.launched) == 2

        for number, delay in enumerate((10, 20, 40, 80, 160, 300, 300)):
            await node.crash()
            obj = await node.get()
            assert waiting(obj)["reason"] == "CrashLoopBackOff"
            assert f"back-off {delay}s" in waiting(obj)["message"]
            assert container(obj)["lastState"]["terminated"]["exitCode"] == 1
            assert status(obj)["phase"] == "Running"
            await node.turn(delay - 1)
            assert len(node.runtime.launched) == 2 + number
            await node.turn(1)
            assert len(node.runtime.launched) == 3 + number


async def test_ten_minutes_of_running_make_a_crash_a_first_one_again(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(pod("app", "x"))
        await node.crash()
        await node.crash()
        await node.turn(10)
        await node.turn(600)
        await node.crash()

        assert len(node.runtime.launched) == 4


async def test_an_instance_that_is_ready_soon_costs_two_commits(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        cluster = node.world.cluster
        seen = (await cluster.list(POD)).resource_version
        async with cluster.watch(POD, resource_version=seen) as events:
            await node.create(pod("app", "x"))
            versions = []
            async for event in events:
                versions.append(event.object)
                if is_ready(event.object):
                    break

        created, bound, ready = versions
        assert "nodeName" not in spec(created)
        assert spec(bound)["nodeName"] == "here"
        assert annotations(bound)[names.PORT]
        assert is_ready(ready)


async def test_an_instance_that_becomes_ready_late_is_shown_running_first(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        node.runtime.ready = False
        await node.create(pod("app", "x"))
        assert status(await node.get()) == {"phase": "Pending"}
        await node.turn(0.1)
        assert status(await node.get())["phase"] == "Running"

        node.runtime.ready = True
        await node.turn(0.05)
        assert is_ready(await node.get())


async def test_an_app_that_fails_three_probes_in_a_row_is_not_ready_until_one_succeeds(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(pod("app", "x", readinessProbe={"tcpSocket": {}, "periodSeconds": 1}))
        await node.turn(5)
        assert is_ready(await node.get())
        node.runtime.ready = False
        await node.turn(1.9)
        assert is_ready(await node.get())
        await node.turn(2)
        obj = await node.get()
        assert not is_ready(obj)
        assert container(obj)["restartCount"] == 0

        node.runtime.ready = True
        await node.turn(0.05)
        assert is_ready(await node.get())


async def test_a_startup_probe_delays_the_others_and_ends_an_app_that_does_not_start(tmp_path: Path) -> None:
    startup = {"httpGet": {"path": "/"}, "periodSeconds": 2, "failureThreshold": 3}
    async with virtual(tmp_path) as node:
        node.runtime.ready = False
        await node.create(pod("app", "x", startupProbe=startup))
        await node.turn(5.9)
        assert len(node.runtime.launched) == 1
        assert container(await node.get())["started"] is False
        await node.turn(0.2)
        assert len(node.runtime.launched) == 2

        node.runtime.ready = True
        await node.turn(2)
        obj = await node.get()
        assert (container(obj)["started"], is_ready(obj)) == (True, True)


async def test_an_app_has_every_period_of_its_startup_probe_to_start(tmp_path: Path) -> None:
    """With the probe that Cloud Run writes into every service it exports."""
    startup = {"tcpSocket": {"port": 8080}, "periodSeconds": 240, "timeoutSeconds": 240, "failureThreshold": 1}
    async with virtual(tmp_path) as node:
        node.runtime.ready = False
        await node.create(pod("app", "x", startupProbe=startup))
        await node.turn(239.9)
        assert len(node.runtime.launched) == 1

        await node.turn(0.2)
        assert len(node.runtime.launched) == 2
        ended = container(await node.get())["lastState"]["terminated"]
        assert ended["message"] == "startup probe: not ready"

        await node.turn(200)
        node.runtime.ready = True
        await node.turn(1)
        assert len(node.runtime.launched) == 2
        assert is_ready(await node.get())


async def test_an_app_that_starts_soon_is_ready_long_before_a_period_is_over(tmp_path: Path) -> None:
    startup = {"tcpSocket": {"port": 8080}, "periodSeconds": 240, "timeoutSeconds": 240, "failureThreshold": 1}
    async with virtual(tmp_path) as node:
        node.runtime.ready = False
        await node.create(pod("app", "x", startupProbe=startup))
        await node.turn(0.5)
        node.runtime.ready = True
        await node.turn(0.05)

        assert is_ready(await node.get())


async def test_an_app_has_every_period_of_its_liveness_probe_before_it_is_ended(tmp_path: Path) -> None:
    liveness = {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 5, "periodSeconds": 10, "failureThreshold": 2}
    async with virtual(tmp_path) as node:
        node.runtime.ready = False
        await node.create(pod("app", "x", livenessProbe=liveness))
        await node.turn(24.9)
        assert len(node.runtime.launched) == 1

        await node.turn(0.2)
        assert len(node.runtime.launched) == 2
        ended = container(await node.get())["lastState"]["terminated"]
        assert ended["message"] == "liveness probe: not ready"


async def test_an_unready_app_shows_which_probe_waits_and_its_finding(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        node.runtime.ready = False
        await node.create(pod("app", "x"))
        await node.turn(1.9)
        assert awaited(await node.get()) == ""
        await node.turn(0.2)
        obj = await node.get()
        assert awaited(obj) == "user-container: readiness probe: not ready"
        assert condition(obj, "Ready")["message"] == awaited(obj)

        node.runtime.ready = True
        await node.turn(1)
        obj = await node.get()
        assert (is_ready(obj), awaited(obj)) == (True, "")


async def test_an_app_that_loses_its_readiness_is_tried_again_without_its_initial_delay(tmp_path: Path) -> None:
    readiness = {"tcpSocket": {}, "initialDelaySeconds": 60, "periodSeconds": 1, "failureThreshold": 1}
    async with virtual(tmp_path) as node:
        await node.create(pod("app", "x", readinessProbe=readiness))
        await node.turn(61)
        assert is_ready(await node.get())
        node.runtime.ready = False
        await node.turn(2)
        assert awaited(await node.get()) == "user-container: readiness probe: not ready"

        node.runtime.ready = True
        await node.turn(1)
        assert is_ready(await node.get())


async def test_a_container_that_ignores_sigterm_is_killed_when_its_grace_has_ended(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        node.runtime.stubborn = True
        await node.create(pod("app", "x"))
        running = node.running
        await node.world.cluster.delete(POD, Key("default", "app"))
        await node.rest()
        assert running.terminated
        await node.turn(4.5)
        assert node.runtime.containers
        await node.turn(0.6)
        assert not node.runtime.containers
        await node.world.deleted("app")  # its log is moved by a thread, which virtual time does not wait for


async def test_draining_is_bounded_by_the_grace_and_leaves_two_seconds_for_the_app(tmp_path: Path) -> None:
    async def never(revision: Key, where: str) -> None:
        await asyncio.Event().wait()

    async with virtual(tmp_path, never) as node:
        node.runtime.stubborn = True
        await node.create(pod("app", "x"))
        running = node.running
        await node.world.cluster.delete(POD, Key("default", "app"))
        await node.rest()
        await node.turn(4.9)
        assert not running.terminated
        await node.turn(0.2)
        assert running.terminated
        await node.turn(1.7)
        assert node.runtime.containers
        await node.turn(0.3)
        await node.world.deleted("app")  # its log is moved by a thread, which virtual time does not wait for


@pytest.mark.parametrize("before", [0.0, 3.0, 60.0], ids=["at once", "within its grace", "long after it"])
async def test_a_grace_continues_under_the_next_control_plane(tmp_path: Path, before: float) -> None:
    async with virtual(tmp_path) as node:
        node.runtime.stubborn = True
        await node.create(with_grace(30))
        await node.world.cluster.delete(POD, Key("default", "app"))
        await node.rest()
        node.world.supervisor.stop()
        await node.turn(before)

        async with agent(tmp_path, node.world.api, node.runtime, node.clock, no_requests, node.runtime.attempt):
            await node.rest()
            left = max(30 - before, 2)
            await node.turn(left - 0.1)
            assert node.runtime.containers
            await node.turn(1.2)  # a deletionTimestamp has whole seconds
            await node.world.deleted("app")  # its log is moved by a thread, which virtual time does not wait for


async def test_a_shorter_grace_applies_to_an_instance_that_is_being_stopped(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        node.runtime.stubborn = True
        await node.create(with_grace(300))
        await node.world.cluster.delete(POD, Key("default", "app"))
        await node.turn(10)
        await node.world.cluster.delete(POD, Key("default", "app"), grace_seconds=5)
        await node.turn(4.9)
        assert node.runtime.containers
        await node.turn(0.2)
        await node.world.deleted("app")


async def test_a_shorter_grace_ends_the_draining(tmp_path: Path) -> None:
    async def never(revision: Key, where: str) -> None:
        await asyncio.Event().wait()

    async with virtual(tmp_path, never) as node:
        await node.create(with_grace(300))
        running = node.running
        await node.world.cluster.delete(POD, Key("default", "app"))
        await node.turn(10)
        await node.world.cluster.delete(POD, Key("default", "app"), grace_seconds=5)
        await node.turn(4.9)
        assert not running.terminated
        await node.turn(0.2)
        assert running.terminated


async def test_a_pod_that_never_started_is_deleted_at_once(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        node.runtime.reject = lambda launch: LaunchRejected("ContainerMissing", "no such program")
        await node.create(pod("app", "x"))
        await node.world.cluster.delete(POD, Key("default", "app"))
        await node.rest()

        await node.world.deleted("app")  # its log is moved by a thread, which virtual time does not wait for
        assert node.runtime.launched == []


async def test_a_refused_start_is_retried_after_one_second_then_two(tmp_path: Path) -> None:
    tries: list[Launch] = []

    def refuse(launch: Launch) -> LaunchRejected:
        tries.append(launch)
        return LaunchRejected("ContainerMissing", "no such program")

    async with virtual(tmp_path) as node:
        node.runtime.reject = refuse
        await node.create(pod("app", "x"))
        assert waiting(await node.get()) == {"reason": "ContainerMissing", "message": "no such program"}
        await node.turn(1)
        await node.turn(1.9)
        assert len(tries) == 2
        node.runtime.reject = lambda launch: None
        await node.turn(0.2)
        assert is_ready(await node.get())


async def test_restart_policy_never_ends_the_pod_with_its_containers(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        for name, code, phase in (("good", 0, "Succeeded"), ("bad", 3, "Failed")):
            job: Any = pod(name, "x")
            job["spec"]["restartPolicy"] = "Never"
            await node.create(job)
            await node.crash(code)
            assert status(await node.get(name))["phase"] == phase
            await node.turn(600)
        assert len(node.runtime.launched) == 2


async def test_a_pod_of_the_same_name_begins_when_nothing_is_left_of_the_one_before(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(pod("app", "x"))
        first = await node.get()
        await node.world.cluster.delete(POD, Key("default", "app"), grace_seconds=0)
        await node.create(pod("app", "x"))
        await node.turn(0.2)
        second = await node.get()

        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        assert is_ready(second)
        assert [pod for pod, _ in node.runtime.containers] == [second["metadata"]["uid"]]


async def test_names_that_would_leave_the_folder_are_refused(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        outside = pod("app", "x")
        outside["spec"]["containers"][0]["name"] = "../../etc"
        await node.create(outside)

        assert status(await node.get())["phase"] == "Failed"
        assert node.runtime.launched == []


async def test_an_idle_instance_writes_nothing(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(pod("app", "x"))
        before = await node.get()
        await node.turn(3600)

        assert status(await node.get()) == status(before)
        assert await node.get() == before
