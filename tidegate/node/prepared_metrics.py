# SPDX-License-Identifier: Apache-2.0
"""What the prepared Pods of this node cost, for Prometheus.

In: the instances, and the usage of a Pod. Out: metrics as text. Called by: `Statusz.figures`, through `embedded.py`.
"""

from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tidegate.model.objects import Key
from tidegate.node.instance import Instance
from tidegate.node.runtime import PodUsage


class PreparedMetrics:
    """`usage`: of a Pod's containers."""

    def __init__(self, instances: Mapping[Key, Instance], usage: Callable[[Key], Awaitable[PodUsage | None]]) -> None:
        self._instances = instances
        self._usage = usage
        self._registry = CollectorRegistry()
        self._pods = Gauge(
            "tidegate_prepared_pods", "Pods whose containers wait for their start.", registry=self._registry
        )
        self._memory = Gauge(
            "tidegate_prepared_memory_bytes", "Memory of the containers of prepared Pods.", registry=self._registry
        )

    async def figures(self) -> bytes:
        """The text."""
        prepared = [name for name, instance in self._instances.items() if instance.is_prepared]
        used = [await self._usage(name) for name in prepared]
        self._pods.set(len(prepared))
        self._memory.set(sum(each.memory_bytes for each in used if each is not None))
        return generate_latest(self._registry)
