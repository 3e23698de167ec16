# SPDX-License-Identifier: Apache-2.0
"""The controllers over a real API with its real admission, and stand-ins for the other writers: an autoscaler, a node
and a gateway that comply at once. A test sets exceptions in the `World`."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from harness import make
from harness.apiserver import cluster_of, opened
from tidegate.apiserver.registry.api import Api
from tidegate.apiserver.registry.inprocess import InProcess
from tidegate.client.cluster import Cluster
from tidegate.client.configs import LiveConfigs
from tidegate.client.context import Context
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.controllers.controllers import Callbacks, Controllers
from tidegate.controllers.serving.digest_resolution import Resolve, keep_tag
from tidegate.controllers.serving.instances import Wake, wait_for_label
from tidegate.kit.clock import Clock, RealClock
from tidegate.model import errors, kinds, names
from tidegate.model.admission import Admission, AdmissionRequest, Admitted
from tidegate.model.conditions import condition, is_ready
from tidegate.model.config import Configs
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object, annotations, is_deleting, key, spec, status
from tidegate.model.user import User
from tidegate.reconcile.object_queue import object_queue

_DOMAIN = "example.com"
TIMEOUT = 10.0  # seconds after which a test gives up


@dataclass
class World:
    """All that a test observes and changes."""

    api: Api
    cluster: Cluster
    informers: Informers
    controllers: Controllers
    refused: set[Kind]  # kinds whose objects the API rejects
    rejecting: "RejectingCluster"
    node_runs: Callable[[Object], Object | None] = lambda pod: make.running()
    gateway_complies: bool = True
    load: Mapping[str, int] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def apply(self, obj: Object) -> Object:
        """Create an object, or replace the spec and metadata of the existing one."""
        kind = kinds.BUILT_IN_KINDS.named(obj["apiVersion"], obj["kind"])
        assert kind is not None
        sent, before = make.new(obj), self.find(kind, obj["metadata"]["name"])
        if before is None or is_deleting(before):
            return await self.cluster.create(kind, sent)
        merged = {"annotations": {**annotations(before), **annotations(sent)}}
        return await self.cluster.update(kind, {**sent, "metadata": {**sent["metadata"], **merged}})

    async def until(self, holds: Callable[[], Any]) -> Any:
        """Return the value of `holds` once it is true."""
        async with asyncio.timeout(TIMEOUT):
            while not (found := holds()):
                self.changed.clear()
                await self.changed.wait()
        return found

    def find(self, kind: Kind, name: str) -> Object | None:
        return self.api.store.get(kind.resource, Key(make.NAMESPACE, name))

    def get(self, kind: Kind, name: str) -> Object:
        found = self.find(kind, name)
        assert found is not None, f"there is no {kind} {name}"
        return found

    async def delete(self, kind: Kind, name: str) -> None:
        await self.cluster.delete(kind, Key(make.NAMESPACE, name))

    def condition(self, kind: Kind, name: str, condition_type: str = "Ready") -> tuple[str, str, str]:
        obj = self.find(kind, name)
        found = condition(obj, condition_type) if obj is not None else {"status": ""}
        return found["status"], found.get("reason", ""), found.get("message", "")

    def is_ready(self, kind: Kind, name: str) -> bool:
        obj = self.find(kind, name)
        return obj is not None and is_ready(obj)

    def events(self) -> set[tuple[str, str]]:
        """Kind and reason of every recorded Event."""
        events = self.api.list(kinds.EVENT).items
        return {(event["involvedObject"]["kind"], event["reason"]) for event in events}

    def pods(self, revision: str) -> list[Object]:
        return list(self.informers.pods.indexed("revision", f"{make.NAMESPACE}/{revision}"))

    async def configure(self, name: str, data: Mapping[str, str]) -> None:
        """Create a ConfigMap in the system namespace."""
        metadata = {"name": name, "namespace": names.SYSTEM_NAMESPACE}
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}
        await self.cluster.create(kinds.CONFIG_MAP, config_map)

    async def limit(self, **hard: str) -> None:
        """Set the quota of the namespace."""
        metadata = {"name": "q", "namespace": make.NAMESPACE}
        await self.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})

    async def touch(self, pod: str) -> None:
        """Change a Pod, so that the stand-in for the node looks at it again."""
        patch = {"metadata": {"annotations": {"touched": "true"}}}
        await self.cluster.patch(kinds.POD, Key(make.NAMESPACE, pod), patch)

    async def scale(self, revision: str, wanted: int) -> None:
        """Write the wanted number of instances, in place of the autoscaler."""
        patch = {"status": {"desiredScale": wanted}}
        await self.cluster.patch(kinds.POD_AUTOSCALER, Key(make.NAMESPACE, revision), patch, subresource="status")


@asynccontextmanager
async def controlled(
    folder: Path,
    *,
    clock: Clock | None = None,
    config: Mapping[str, Mapping[str, str]] | None = None,
    wake: Wake = wait_for_label,
    resolve: Resolve = keep_tag,
) -> AsyncIterator[World]:
    """The running controllers and stand-ins."""
    clock = clock or RealClock()

    refused: set[Kind] = set()
    rules = Configs.parse(config or {}, domain=_DOMAIN)

    def admit(kind: Kind, new: Object, old: Object | None, request: AdmissionRequest) -> Admitted:
        if kind in refused:
            raise errors.BadRequest("not today")
        return Admission(BUILT_IN_SCHEME, lambda: rules).admit(kind, new, old, request)

    async with opened(folder, clock, admit=admit) as api:
        cluster = RejectingCluster(api, User("system:serviceaccount:knative-serving:controller"))
        informers = Informers(cluster, clock)
        recorder = Recorder(cluster, "controllers", clock)
        configs = LiveConfigs(informers.config_maps, domain=_DOMAIN)
        context = Context(cluster, informers, configs, recorder, clock)
        port_of = {"http": 8080, "https": 8443, "internal": 8081}.get
        controllers = Controllers(context, Callbacks(lambda revision: world.load, port_of, wake, resolve))
        world = World(api, cluster_of(api, "somebody"), informers, controllers, refused, cluster)
        stand_ins = StandIns(world, clock)
        for informer in informers:
            informer.subscribe(lambda old, new: world.changed.set())
        runs = (
            *(informer.run() for informer in informers),
            recorder.run(),
            controllers.run(),
            stand_ins.run(),
            _count(world),
        )
        with capture_logs() as logs:
            tasks = [asyncio.create_task(run) for run in runs]
            try:
                await informers.synced()
                for name, data in (config or {}).items():
                    await world.configure(name, data)
                yield world
            finally:
                failed: list[Any] = [task.exception() for task in tasks if task.done()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        failed += [entry for entry in logs if entry["log_level"] == "error"]
        assert not failed, failed


async def _count(world: World) -> None:
    """Count the writes by kind."""
    with world.api.store.watch("", since=world.api.store.revision) as changes:
        async for change in changes:
            world.writes[change.resource] += 1


class RejectingCluster(InProcess):
    """The API of the controllers. It rejects deletions of the kinds in `kept`, and counts all rejections."""

    def __init__(self, api: Api, user: User) -> None:
        super().__init__(api, user)
        self.kept: set[Kind] = set()
        self.rejections = 0

    async def create(self, kind: Kind, obj: Object, **options: Any) -> Object:
        try:
            return await super().create(kind, obj, **options)
        except errors.Forbidden:
            self.rejections += 1
            raise

    async def delete(self, kind: Kind, key: Key, **options: Any) -> None:
        if kind in self.kept:
            self.rejections += 1
            raise errors.Forbidden("not today")
        await super().delete(kind, key, **options)


class StandIns:
    """Stand-ins for the autoscaler, the node and the gateway, which comply at once."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._cluster = cluster_of(world.api, "system:others")
        informers = world.informers
        self._works = (
            object_queue("stand-in autoscaler", self._autoscale, clock),
            object_queue("stand-in node", self._run_pod, clock),
            object_queue("stand-in gateway", self._comply, clock),
        )
        autoscale, node, gateway = self._works
        informers.pod_autoscalers.subscribe(lambda old, new: autoscale.wake(key(new or old or {})))
        informers.pods.subscribe(lambda old, new: node.wake(key(new or old or {})))
        informers.pods.subscribe(lambda old, new: self._wake(new or old))
        informers.ingresses.subscribe(lambda old, new: gateway.wake(key(new or old or {})))

    def _wake(self, pod: Object | None) -> None:
        if pod is not None and names.REVISION in pod["metadata"].get("labels", {}):
            self._works[0].wake(Key(make.NAMESPACE, pod["metadata"]["labels"][names.REVISION]))

    async def run(self) -> None:
        await self._world.informers.synced()
        async with asyncio.TaskGroup() as group:
            for work in self._works:
                group.create_task(work.run())

    async def _autoscale(self, name: Key) -> None:
        autoscaler = self._world.find(kinds.POD_AUTOSCALER, name.name)
        if autoscaler is None:
            return
        initial = int(annotations(autoscaler).get(f"{names.AUTOSCALING}/initial-scale", "1"))
        wanted = status(autoscaler).get("desiredScale", initial)
        ready = sum(
            1
            for pod in self._world.pods(name.name)
            if condition(pod, "Ready")["status"] == "True" and not is_deleting(pod)
        )
        was = condition(autoscaler, "ScaleTargetInitialized")["status"] == "True"
        active: str | tuple[str, str, str] = "True" if ready else ("Unknown", "Queued", "Requests wait.")
        active = ("False", "NoTraffic", "The target is not receiving traffic.") if wanted == 0 else active
        await self._write(
            kinds.POD_AUTOSCALER,
            autoscaler,
            {
                "observedGeneration": autoscaler["metadata"]["generation"],
                "desiredScale": wanted,
                "actualScale": ready,
                "conditions": make.conditions(
                    Active=active, Ready=active, ScaleTargetInitialized="True" if was or ready >= initial else "Unknown"
                ),
            },
        )

    async def _run_pod(self, name: Key) -> None:
        pod = self._world.find(kinds.POD, name.name)
        if pod is None:
            return
        if is_deleting(pod):
            await self._cluster.delete(kinds.POD, name, grace_seconds=0)
        elif not spec(pod).get("nodeName"):
            await self._cluster.patch(kinds.POD, name, {"spec": {"nodeName": "here"}})
        else:
            observed = self._world.node_runs(pod)
            if observed is not None:
                await self._write(kinds.POD, pod, observed)

    async def _comply(self, name: Key) -> None:
        ingress = self._world.find(kinds.INGRESS, name.name)
        if ingress is not None and self._world.gateway_complies:
            observed = {
                "observedGeneration": ingress["metadata"]["generation"],
                "conditions": make.conditions(Ready="True", NetworkConfigured="True", LoadBalancerReady="True"),
            }
            await self._write(kinds.INGRESS, ingress, observed)

    async def _write(self, kind: Kind, obj: Object, observed: Object) -> None:
        await self._cluster.update_status(kind, {**obj, "status": observed})
