# SPDX-License-Identifier: Apache-2.0
"""An autoscaler to try out: a cluster in memory, gates that count exactly, Pods on demand, a clock that tests turn."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidegate.autoscaler.classes import installed
from tidegate.autoscaler.controller import PodAutoscalerController
from tidegate.autoscaler.policies import AnyPolicy
from tidegate.autoscaler.scraper import Scraped
from tidegate.client.configs import LiveConfigs
from tidegate.client.context import Context
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.client.memory import MemoryCluster, Write
from tidegate.kit.clock import VirtualClock, settle
from tidegate.model import kinds, names
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object
from tidegate.model.usage import Usage


class Gate:
    """A gate's counters of one revision: `set` the current requests, `report` when a gate would."""

    def __init__(self, report: Callable[[LoadReport], None], clock: VirtualClock, revision: Key, name: str) -> None:
        self._report, self._clock = report, clock
        self.revision, self.name = revision, name
        self.in_flight = self.queued = self.requests = 0
        self.concurrency_seconds = self.queue_seconds = 0.0
        self._until = clock.monotonic()

    def set(self, *, in_flight: int = 0, queued: int = 0, arrived: int | None = None) -> None:
        """Set the current requests; `arrived`: the number of new ones, by default the increase."""
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

    `policies`: the classes by name; by default the installed ones.
    """

    def __init__(self, policies: Mapping[str, AnyPolicy] | None = None) -> None:
        self.usage: dict[Key, Sequence[Usage]] = {}
        self.scraped: dict[tuple[Key, str], Scraped] = {}
        self.clock = VirtualClock()
        self.cluster = MemoryCluster()
        self.announce: Callable[[Key, int], None] | None = None
        self._policies = policies or installed(
            lambda revision: self.usage.get(revision, ()),
            lambda revision, metric: self.scraped.get((revision, metric), Scraped()),
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._gates: list[Gate] = []

    async def start(self) -> None:
        informers = Informers(self.cluster, self.clock)
        configs = LiveConfigs(informers.config_maps, domain="example.com")
        recorder = Recorder(self.cluster, "autoscaler", self.clock)
        context = Context(self.cluster, informers, configs, recorder, self.clock)
        self.autoscaler = PodAutoscalerController(context, self._policies, self.announce)
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
        obj = self.cluster.stored(kinds.POD_AUTOSCALER)[name]
        prefixed = {f"{names.AUTOSCALING}/{each}": value for each, value in (annotations or {}).items()}
        metadata = obj["metadata"] | {"annotations": obj["metadata"]["annotations"] | prefixed}
        if spec:
            metadata["generation"] += 1
        self.cluster.put(kinds.POD_AUTOSCALER, obj | {"metadata": metadata, "spec": obj["spec"] | spec})
        await settle()

    async def ready(self, revision: Key, count: int) -> None:
        """Have exactly `count` ready Pods."""
        there = [name for name in self.cluster.stored(kinds.POD) if name.name.startswith(f"{revision.name}-pod-")]
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
        """The gates so far send no more reports."""
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

    @property
    def status_writes(self) -> Sequence[Write]:
        """The status writes so far; not Events."""
        return [write for write in self.cluster.writes if write.subresource]

    @property
    def events(self) -> Sequence[Object]:
        return list(self.cluster.stored(kinds.EVENT).values())

    def status(self, name: Key) -> Object:
        status: Object = self.cluster.stored(kinds.POD_AUTOSCALER)[name].get("status") or {}
        return status

    def scale(self, name: Key) -> tuple[int, int]:
        """The desired and the actual scale."""
        return self.status(name)["desiredScale"], self.status(name)["actualScale"]

    def active(self, name: Key) -> tuple[str, str]:
        entry = next(entry for entry in self.status(name)["conditions"] if entry["type"] == "Active")
        return entry["status"], entry.get("reason", "")
