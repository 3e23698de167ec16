# SPDX-License-Identifier: Apache-2.0
"""A node for tests: a node over a real API in process, with real processes or with the runtime in memory."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from harness.apiserver import cluster_of, opened
from harness.waiting import PATIENCE
from tidegate.apiserver.access.tokens import ServiceAccountTokens
from tidegate.apiserver.registry.api import Api
from tidegate.apiserver.registry.creations import Creations
from tidegate.client.cluster import Cluster
from tidegate.client.configs import LiveConfigs
from tidegate.client.context import Context
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.kit.authority import Authority
from tidegate.kit.clock import Clock, RealClock
from tidegate.kit.processes import Process
from tidegate.kit.supervision import Supervisor
from tidegate.model import names
from tidegate.model.kinds import EVENT, NODE, POD, Kind
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object, status
from tidegate.node import attempts, machine
from tidegate.node.announcements import Announce, no_announcement
from tidegate.node.machine import NodeResources
from tidegate.node.node import Node, NodeHost
from tidegate.node.node_context import Attempt, Drained, PodVolumes
from tidegate.node.runtime import Runtime
from tidegate.node.runtimes.process.etc_files import EtcFiles
from tidegate.node.runtimes.process.freezer import Freezer
from tidegate.node.runtimes.process.identity import Identities, as_ourselves
from tidegate.node.runtimes.process.limits import LimitGroups
from tidegate.node.runtimes.process.processes import InstanceProcesses
from tidegate.node.runtimes.process.programs import Programs
from tidegate.node.runtimes.process.runtime import ProcessRuntime
from tidegate.node.runtimes.process.sandbox import Sandboxes
from tidegate.settings import Settings

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


def process_runtime(
    folder: Path,
    *,
    groups: LimitGroups | None = None,
    freezer: Freezer | None = None,
    identities: Identities | None = None,
    sandboxes: Sandboxes | None = None,
) -> ProcessRuntime:
    """A runtime whose instances are in `folder`, without limits and sandboxes, and with freezing by signals."""
    programs = Programs(
        folder, folder.parent / "bundles", identities or as_ourselves(), sandboxes or Sandboxes(None, EtcFiles(folder))
    )
    return ProcessRuntime(InstanceProcesses(folder, groups, freezer), programs)


class World:
    """One node, and the API it works on."""

    def __init__(self, api: Api, node: Node, context: Context, folder: Path, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.api = api
        self.node = node
        self.agent = node.agent
        self.pods = context.informers.pods
        self.folder = folder
        self.leaves_instances = False  # at its end, as a control plane that is killed
        self.cluster: Cluster = cluster_of(api, "test")

    async def create(self, pod: Object) -> Object:
        return await self.cluster.create(POD, pod)

    async def get(self, name: str, namespace: str = "default") -> Object | None:
        found = (await self.cluster.list(POD, namespace, fields=f"metadata.name={name}")).items
        return found[0] if found else None

    async def until(self, name: str, holds: Callable[[Object], bool], namespace: str = "default") -> Object:
        """The Pod, once that holds for it."""
        found = await self._watch(
            POD, namespace, lambda listed: any(map(holds, listed.values())), fields=f"metadata.name={name}"
        )
        return next(filter(holds, found.values()))

    async def ready(self, name: str, namespace: str = "default") -> Object:
        return await self.until(name, is_ready, namespace)

    async def deleted(self, name: str) -> None:
        await self._watch(POD, "default", lambda listed: not listed, fields=f"metadata.name={name}")

    async def until_node(self) -> Object:
        """The Node, once it is written."""
        return next(iter((await self._watch(NODE, "", bool)).values()))

    async def until_event(self, reason: str, words: str) -> None:
        """Returns once there is an Event of that reason with those words in it: they are written in their own time."""
        await self._watch(
            EVENT,
            "default",
            lambda listed: any(event["reason"] == reason and words in event["message"] for event in listed.values()),
        )

    async def logs(self, obj: Object, **options: Any) -> str:
        """The log of a Pod's first container."""
        name = obj["spec"]["containers"][0]["name"]
        return b"".join([chunk async for chunk in self.node.logs.read(obj, name, LogOptions(**options))]).decode()

    async def _watch(
        self, kind: Kind, namespace: str, holds: Callable[[dict[str, Object]], bool], fields: str = ""
    ) -> dict[str, Object]:
        """The objects of a kind by name, once that holds for them."""
        listing = await self.cluster.list(kind, namespace, fields=fields)
        found = {obj["metadata"]["name"]: obj for obj in listing.items}
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self.cluster.watch(kind, namespace, resource_version=listing.resource_version, fields=fields) as events,
            ):
                while not holds(found):
                    event = await anext(events)
                    found.pop(event.object["metadata"]["name"], None)
                    if event.type != "DELETED":
                        found[event.object["metadata"]["name"]] = event.object
        except TimeoutError:
            raise AssertionError(f"it did not happen; there are {list(found.values())}") from None
        return found


def context_of(cluster: Cluster, clock: Clock) -> Context:
    """What all parts of a node share. The caller runs the informer of the Pods and the recorder."""
    informers = Informers(cluster, clock)
    configs = LiveConfigs(informers.config_maps, domain="localhost")
    return Context(cluster, informers, configs, Recorder(cluster, "node", clock), clock)


@asynccontextmanager
async def node(
    folder: Path,
    *,
    runtime: Runtime | None = None,
    clock: Clock | None = None,
    drained: Drained = no_requests,
    attempt: Attempt = attempts.attempt,
    announce: Announce = no_announcement,
    has: NodeResources | None = None,
    identities: Callable[[Cluster], Identities] | None = None,
) -> AsyncIterator[World]:
    """A running node; at the end its instances are stopped."""
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
    attempt: Attempt = attempts.attempt,
    announce: Announce = no_announcement,
    has: NodeResources | None = None,
    identities: Callable[[Cluster], Identities] | None = None,
    volumes: PodVolumes | None = None,
) -> AsyncIterator[World]:
    clock = clock or RealClock()
    cluster = cluster_of(api, "system:node")
    settings = Settings(folder)
    settings.instances.mkdir(exist_ok=True)
    Authority(settings.pki, RealClock().wall())
    context = context_of(cluster, clock)
    own = identities(cluster) if identities is not None else None
    runtime = runtime or process_runtime(settings.instances, identities=own)
    host = NodeHost("here", has or machine.resources(), runtime, attempt, volumes)
    tokens = ServiceAccountTokens(api, settings.pki, clock)
    made = Node(context, settings, host, drained=drained, issue_token=tokens.issue, announce=announce)
    api.store.observe(Creations(POD, made.agent.expect, made.agent.confirm))
    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group, clock)
        informers = context.informers
        supervisor.start(pods=informers.pods.run, maps=informers.config_maps.run, secrets=informers.secrets.run)
        supervisor.start(pvcs=informers.persistent_volume_claims.run, pvs=informers.persistent_volumes.run)
        supervisor.start(classes=informers.storage_classes.run, events=context.recorder.run)
        made.start(supervisor)
        world = World(api, made, context, folder, supervisor)
        try:
            await made.agent.settled()
            yield world
        finally:
            if not world.leaves_instances:
                await made.agent.stop_all(0.5)
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


def process_of(obj: Object) -> Process:
    """The process that leads its first container."""
    pid, started = container(obj)["containerID"].removeprefix("process://").split(".")
    return Process(int(pid), int(started))
