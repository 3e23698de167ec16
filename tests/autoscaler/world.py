# SPDX-License-Identifier: Apache-2.0
"""An autoscaler to try out: a cluster in memory, gates that count exactly, Pods on demand, a clock that tests turn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tidegate.autoscaler.classes import installed
from tidegate.autoscaler.controller import PodAutoscalerController
from tidegate.autoscaler.policies import AnyPolicy
from tidegate.autoscaler.scraper import Scraped
from tidegate.client.cluster import Listing, WatchEvent
from tidegate.client.configs import LiveConfigs
from tidegate.client.context import Context
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.kit.clock import VirtualClock, settle
from tidegate.model import errors, kinds, names
from tidegate.model.kinds import Kind
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object, key
from tidegate.model.usage import Usage


class MemoryCluster:
    """Objects in dicts, with what informers and status writers ask of a `Cluster`."""

    def __init__(self) -> None:
        self.objects: dict[Kind, dict[Key, Object]] = {}
        self.writes: list[tuple[Key, Object]] = []  # status patches
        self.written = asyncio.Event()
        self.events: list[Object] = []
        self._version = 0
        self._watchers: list[tuple[Kind, asyncio.Queue[WatchEvent]]] = []

    def put(self, kind: Kind, obj: Object) -> Object:
        self._version += 1
        obj = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self._version)}}
        known = self.objects.setdefault(kind, {})
        event = WatchEvent("MODIFIED" if key(obj) in known else "ADDED", obj)
        known[key(obj)] = obj
        self._notify(kind, event)
        return obj

    def remove(self, kind: Kind, name: Key) -> None:
        self._version += 1
        obj = self.objects[kind].pop(name)
        obj = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self._version)}}
        self._notify(kind, WatchEvent("DELETED", obj))

    def _notify(self, kind: Kind, event: WatchEvent) -> None:
        for watched, queue in self._watchers:
            if watched is kind:
                queue.put_nowait(event)

    async def list(self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "") -> Listing:
        return Listing(list(self.objects.get(kind, {}).values()), str(self._version))

    @asynccontextmanager
    async def watch(
        self, kind: Kind, namespace: str = "", *, resource_version: str, labels: str = "", fields: str = ""
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._watchers.append((kind, queue))

        async def events() -> AsyncIterator[WatchEvent]:
            while True:
                yield await queue.get()

        yield events()

    async def patch(self, kind: Kind, name: Key, patch: Object, *, subresource: str = "", **options: Any) -> Object:
        if name not in self.objects.get(kind, {}):
            raise errors.NotFound(f"{name} is not there")
        self.writes.append((name, patch["status"]))
        self.written.set()
        obj = self.objects[kind][name]
        return self.put(kind, obj | {"status": obj.get("status", {}) | patch["status"]})

    async def create(self, kind: Kind, obj: Object) -> Object:
        self.events.append(obj)
        return obj | {"metadata": obj["metadata"] | {"name": f"event-{len(self.events)}"}}


class Gate:
    """A gate's counters of one revision: `set` what is there, `report` when the gate would."""

    def __init__(self, report: Callable[[LoadReport], None], clock: VirtualClock, revision: Key, name: str) -> None:
        self._report, self._clock = report, clock
        self.revision, self.name = revision, name
        self.in_flight = self.queued = self.requests = 0
        self.concurrency_seconds = self.queue_seconds = 0.0
        self._until = clock.monotonic()

    def set(self, *, in_flight: int = 0, queued: int = 0, arrived: int | None = None) -> None:
        """From now on so many are there; `arrived`: how many of them are new, all that are more by default."""
        self._count()
        more = in_flight + queued - self.in_flight - self.queued
        self.requests += max(more, 0) if arrived is None else arrived
        self.in_flight, self.queued = in_flight, queued

    def report(self) -> None:
        self._count()
        self._report(
            LoadReport(
                revision=self.revision,
                gateway=self.name,
                time=self._clock.monotonic(),
                in_flight=self.in_flight,
                queued=self.queued,
                requests=self.requests,
                concurrency_seconds=round(self.concurrency_seconds, 6),
                queue_seconds=round(self.queue_seconds, 6),
                responses={},
                refused={},
                hosts={},
            )
        )

    def _count(self) -> None:
        now = self._clock.monotonic()
        self.concurrency_seconds += (now - self._until) * (self.in_flight + self.queued)
        self.queue_seconds += (now - self._until) * self.queued
        self._until = now


class World:
    """The autoscaler and its surroundings. `restart` replaces it, as after a kill of the control plane.

    `policies`: the classes by name; by default those that are installed.
    """

    def __init__(self, policies: Mapping[str, AnyPolicy] | None = None) -> None:
        self.usage: dict[Key, Sequence[Usage]] = {}
        self.scraped: dict[tuple[Key, str], Scraped] = {}
        self.clock = VirtualClock()
        self.cluster = MemoryCluster()
        self.foresee: Callable[[Key, int], None] | None = None
        self._policies = policies or installed(
            lambda revision: self.usage.get(revision, ()),
            lambda revision, metric: self.scraped.get((revision, metric), Scraped()),
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._gates: list[Gate] = []

    async def start(self) -> None:
        cluster: Any = self.cluster
        informers = Informers(cluster, self.clock)
        configs = LiveConfigs(informers.config_maps, domain="example.com")
        recorder = Recorder(cluster, "autoscaler", self.clock)
        context = Context(cluster, informers, configs, recorder, self.clock)
        self.autoscaler = PodAutoscalerController(context, self._policies, self.foresee)
        read = (informers.pod_autoscalers, informers.pods, informers.config_maps)
        parts = (*(informer.run() for informer in read), recorder.run(), self.autoscaler.run())
        self._tasks = [asyncio.create_task(part) for part in parts]
        await settle()

    def configure(self, config_map: str, **data: str) -> None:
        """Write a ConfigMap; underscores in keys are dashes."""
        metadata = {"namespace": names.SYSTEM_NAMESPACE, "name": config_map}
        self.cluster.put(
            kinds.CONFIG_MAP, {"metadata": metadata, "data": {key.replace("_", "-"): data[key] for key in data}}
        )

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def given(
        self, name: str = "rev", annotations: Mapping[str, str] | None = None, *, concurrency: int = 0, **spec: Any
    ) -> Key:
        """A new PodAutoscaler; annotations without their prefix."""
        prefixed = {f"{names.AUTOSCALING}/{each}": value for each, value in (annotations or {}).items()}
        metadata = {"namespace": "default", "name": name, "generation": 1, "uid": name, "annotations": prefixed}
        spec = {"containerConcurrency": concurrency, "reachability": "Reachable"} | spec
        kind = kinds.POD_AUTOSCALER
        obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
        self.cluster.put(kind, obj)
        await settle()
        return Key("default", name)

    async def change(self, name: Key, annotations: Mapping[str, str] | None = None, **spec: Any) -> None:
        obj = self.cluster.objects[kinds.POD_AUTOSCALER][name]
        prefixed = {f"{names.AUTOSCALING}/{each}": value for each, value in (annotations or {}).items()}
        metadata = obj["metadata"] | {"annotations": obj["metadata"]["annotations"] | prefixed}
        if spec:
            metadata["generation"] += 1
        self.cluster.put(kinds.POD_AUTOSCALER, obj | {"metadata": metadata, "spec": obj["spec"] | spec})
        await settle()

    async def ready(self, revision: Key, count: int) -> None:
        """Have exactly so many ready Pods."""
        there = [
            name for name in self.cluster.objects.get(kinds.POD, {}) if name.name.startswith(f"{revision.name}-pod-")
        ]
        for number in range(len(there), count):
            metadata = {"namespace": revision.namespace, "name": f"{revision.name}-pod-{number}"}
            metadata |= {"labels": {names.REVISION: revision.name}}  # type: ignore[dict-item]
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            self.cluster.put(kinds.POD, {"metadata": metadata, "spec": {}, "status": ready})
        for name in there[count:]:
            self.cluster.remove(kinds.POD, name)
        await settle()

    def gate(self, revision: Key, name: str = "gate-1") -> Gate:
        gate = Gate(self._report, self.clock, revision, name)
        self._gates.append(gate)
        return gate

    def _report(self, report: LoadReport) -> None:
        self.autoscaler.report(report)  # the autoscaler that runs now

    def forget_gates(self) -> None:
        """No gate so far says any more."""
        self._gates.clear()

    async def pass_time(self, seconds: float, *, obeyed: Sequence[Key] = ()) -> None:
        """Turn the clock; active gates report every 100 ms; the Pods of `obeyed` revisions are what was wanted."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end - 1e-6:
            active = [gate for gate in self._gates if gate.in_flight + gate.queued]
            await self.clock.advance(min(0.1 if active else 1.0, end - self.clock.monotonic()))
            for gate in active:
                gate.report()
            for revision in obeyed:
                await self.ready(revision, self.status(revision)["desiredScale"])
        await settle()

    def status(self, name: Key) -> Object:
        status: Object = self.cluster.objects[kinds.POD_AUTOSCALER][name].get("status") or {}
        return status

    def scale(self, name: Key) -> tuple[int, int]:
        """Wanted and there."""
        return self.status(name)["desiredScale"], self.status(name)["actualScale"]

    def active(self, name: Key) -> tuple[str, str]:
        entry = next(entry for entry in self.status(name)["conditions"] if entry["type"] == "Active")
        return entry["status"], entry.get("reason", "")
