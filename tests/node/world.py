# SPDX-License-Identifier: Apache-2.0
"""A node for tests: an agent over a real API in process, with real processes or with the runtime in memory."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.apiserver.world import cluster_of, opened
from tidegate.apiserver.registry.api import Api
from tidegate.apiserver.registry.creations import Creations
from tidegate.client.cluster import Cluster
from tidegate.client.events import Recorder
from tidegate.client.informer import Informer
from tidegate.kit.clock import Clock, RealClock
from tidegate.kit.supervision import Supervisor
from tidegate.model import names
from tidegate.model.indexes import by_label
from tidegate.model.kinds import EVENT, NODE, POD
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object, status
from tidegate.node import probes
from tidegate.node.agent import LOOK_AT_PORTS_EVERY, NOTE_LOGS_EVERY, PRUNE_LOGS_EVERY, Agent, Announce, to_nobody
from tidegate.node.archive import Archive
from tidegate.node.container import Attempt
from tidegate.node.instance import Drained
from tidegate.node.machine import NodeResources
from tidegate.node.runtime import Runtime
from tidegate.node.runtimes.process.identity import Identities, as_ourselves
from tidegate.node.runtimes.process.runtime import ProcessRuntime

PATIENCE = 30.0
"""Seconds after which something that should happen is taken not to: a bound against hanging, never asserted."""

LISTENS = """
import os, socket, sys, threading
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
print("listens", flush=True)
while True:
    connection, _ = server.accept()
    connection.close()
"""


async def no_requests(revision: Key, endpoint: str) -> None:
    """Drained at once."""


class World:
    """One agent, and the API it works on."""

    def __init__(
        self, api: Api, agent: Agent, pods: Informer, runtime: Runtime, folder: Path, supervisor: Supervisor
    ) -> None:
        self.supervisor = supervisor
        self.api = api
        self.agent = agent
        self.pods = pods
        self.runtime = runtime
        self.folder = folder
        self.cluster: Cluster = cluster_of(api, "test")

    async def create(self, pod: Object) -> Object:
        return await self.cluster.create(POD, pod)

    async def get(self, name: str, namespace: str = "default") -> Object | None:
        found = (await self.cluster.list(POD, namespace, fields=f"metadata.name={name}")).items
        return found[0] if found else None

    async def until(self, name: str, holds: Callable[[Object], bool], namespace: str = "default") -> Object:
        """The Pod, once that holds."""
        deadline = time.monotonic() + PATIENCE
        while True:
            pod = await self.get(name, namespace)
            if pod is not None and holds(pod):
                return pod
            assert time.monotonic() < deadline, f"waited in vain; the Pod is {pod}"
            await asyncio.sleep(0.005)

    async def ready(self, name: str, namespace: str = "default") -> Object:
        return await self.until(name, is_ready, namespace)

    async def gone(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while await self.get(name) is not None:
            assert time.monotonic() < deadline, f"{name} is still there"
            await asyncio.sleep(0.005)

    async def empty(self) -> None:
        """Returns once nothing runs here."""
        deadline = time.monotonic() + PATIENCE
        while any(self.folder.glob("instances/*/record.json")):
            assert time.monotonic() < deadline, "something still runs"
            await asyncio.sleep(0.005)

    async def until_node(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not (await self.cluster.list(NODE)).items:
            assert time.monotonic() < deadline, "there is no Node"
            await asyncio.sleep(0.005)

    async def logs(self, obj: Object, **options: Any) -> str:
        """The log of a Pod's first container."""
        name = obj["spec"]["containers"][0]["name"]
        return b"".join([chunk async for chunk in self.agent.logs(obj, name, LogOptions(**options))]).decode()

    async def until_event(self, reason: str, words: str) -> None:
        """Returns once there is an Event of that reason with those words in it: they are written in their own time."""
        deadline = time.monotonic() + PATIENCE
        while True:
            events = (await self.cluster.list(EVENT, "default")).items
            if any(event["reason"] == reason and words in event["message"] for event in events):
                return
            assert time.monotonic() < deadline, f"there is no {reason} among {events}"
            await asyncio.sleep(0.005)


@asynccontextmanager
async def node(
    folder: Path,
    *,
    runtime: Runtime | None = None,
    clock: Clock | None = None,
    drained: Drained = no_requests,
    attempt: Attempt = probes.attempt,
    announce: Announce = to_nobody,
    has: NodeResources | None = None,
    identities: Callable[[Cluster], Identities] = as_ourselves,
) -> AsyncIterator[World]:
    """A running agent; at the end its instances are stopped."""
    async with (
        opened(folder) as api,
        agent(folder, api, runtime, clock, drained, attempt, announce, has, identities) as world,
    ):
        yield world


@asynccontextmanager
async def agent(
    folder: Path,
    api: Api,
    runtime: Runtime | None = None,
    clock: Clock | None = None,
    drained: Drained = no_requests,
    attempt: Attempt = probes.attempt,
    announce: Announce = to_nobody,
    has: NodeResources | None = None,
    identities: Callable[[Cluster], Identities] = as_ourselves,
) -> AsyncIterator[World]:
    clock = clock or RealClock()
    cluster = cluster_of(api, "system:node")
    pods = Informer(cluster, POD, indexes={"revision": by_label(names.REVISION)}, clock=clock)
    recorder = Recorder(cluster, "node", clock)
    runtime = runtime or ProcessRuntime(folder / "instances")
    made = Agent(
        cluster=cluster,
        pods=pods,
        runtime=runtime,
        folder=folder / "instances",
        bundles=folder / "bundles",
        archive=Archive(folder / "logs"),
        clock=clock,
        recorder=recorder,
        drained=drained,
        identities=identities(cluster),
        attempt=attempt,
        node="here",
        announce=announce,
        has=has,
    )
    api.store.observe(Creations(POD, made.expect, made.came))
    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group, clock)
        supervisor.start(pods=pods.run, events=recorder.run, node=made.run, node_status=made.machine.run)
        supervisor.every(NOTE_LOGS_EVERY, container_logs=made.note_logs)
        supervisor.every(LOOK_AT_PORTS_EVERY, ports=made.look_at_ports)
        supervisor.every(PRUNE_LOGS_EVERY, ended_logs=made.prune_logs)
        try:
            await made.settled()
            yield World(api, made, pods, runtime, folder, supervisor)
        finally:
            await made.stop_all(0.5)
            supervisor.stop()


def pod(name: str, *command: str, **container: Any) -> Object:
    """A Pod of one container that runs a program of this host, with Knative's default probe."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {names.REVISION: name}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [
                {
                    "name": "user-container",
                    "image": names.HOST_IMAGE,
                    "command": list(command) or [sys.executable, "-c", LISTENS],
                    "ports": [{"name": "user-port", "containerPort": 8080}],
                    "readinessProbe": {"tcpSocket": {"port": 8080}, "successThreshold": 1},
                    **container,
                }
            ],
        },
    }


def python(script: str) -> Sequence[str]:
    return (sys.executable, "-c", script)


def is_ready(obj: Object) -> bool:
    conditions = status(obj).get("conditions") or ()
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def container(obj: Object) -> Any:
    """The status of its first container."""
    return (status(obj).get("containerStatuses") or [{}])[0]


def waiting(obj: Object) -> Any:
    return container(obj).get("state", {}).get("waiting", {})
