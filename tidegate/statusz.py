# SPDX-License-Identifier: Apache-2.0
"""The state of the control plane: the health of its parts, and its disk.

In: the health of the parts, from the supervisor; sizes on disk, from the housekeeping. Out: one JSON object for
`tidegate status` (`/statusz` of the API), and metrics for Prometheus. Called by: the API server, through `embedded.py`.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tidegate.housekeeping import Housekeeping
from tidegate.kit import disk
from tidegate.kit.supervision import Health, HealthState
from tidegate.model.conditions import timestamp
from tidegate.model.objects import Object
from tidegate.settings import Settings

Figures = Callable[[], Awaitable[bytes]]


class Statusz:
    """`parts`: by name. `others`: metrics that come first in the text."""

    def __init__(
        self, parts: Mapping[str, Health], housekeeping: Housekeeping, settings: Settings, *others: Figures
    ) -> None:
        self._parts = parts
        self._housekeeping = housekeeping
        self._settings = settings
        self._others = others
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def object(self) -> Object:
        """The object that `/statusz` returns."""
        space = disk.space(self._settings.home)
        return {
            "parts": [_part(part) for part in self._parts.values()],
            "disk": {
                "free": space.free,
                "total": space.total,
                "short": space.is_short,
                "used": dict(self._housekeeping.usage),
            },
        }

    async def figures(self) -> bytes:
        """The text that `/metrics` returns."""
        return b"".join([await figures() for figures in self._others]) + generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics, for prometheus_client."""
        up = GaugeMetricFamily("tidegate_part_up", "Whether a part of the control plane runs.", labels=["part"])
        restarts = CounterMetricFamily("tidegate_part_restarts", "Restarts of a part after a failure.", labels=["part"])
        for part in self._parts.values():
            up.add_metric([part.name], part.state is HealthState.RUNNING)
            restarts.add_metric([part.name], part.restarts)
        space = disk.space(self._settings.home)
        free = GaugeMetricFamily(
            "tidegate_disk_free_bytes", "Free bytes of the state folder's file system.", space.free
        )
        used = GaugeMetricFamily(
            "tidegate_disk_used_bytes", "Bytes on disk by place in the state folder.", labels=["place"]
        )
        for place, size in self._housekeeping.usage.items():
            used.add_metric([place], size)
        yield from (up, restarts, free, used)


def _part(part: Health) -> Object:
    return {
        "name": part.name,
        "state": str(part.state),
        "since": timestamp(part.since),
        "restarts": part.restarts,
        "lastError": part.error,
    }
