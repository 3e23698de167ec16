# SPDX-License-Identifier: Apache-2.0
"""The answers of the API that come from other parts, as a record of callables.

Built by the composition; read by the endpoints for logs, `/metrics` and `/statusz`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object

ReadPodLog = Callable[[Object, str, LogOptions], AsyncIterator[bytes]]
"""(Pod, container, options) -> the log's bytes; raises `ApiError` before the first bytes if there is no log."""

ReadMetrics = Callable[[], Awaitable[bytes]]
"""Text in Prometheus' format."""

ReadStatusz = Callable[[], Object]
"""The state of the parts."""


class EndedPods(Protocol):
    """The Pods that were removed, and whose logs `ReadPodLog` still has."""

    def of(self, service: Key) -> Sequence[Object]:
        """The Pods of a service, the oldest first."""

    def pod(self, name: Key) -> Object | None:
        """The Pod of this name that ended last."""


@dataclass(frozen=True, slots=True)
class Providers:
    """One callable for each answer."""

    read_pod_log: ReadPodLog
    ended_pods: EndedPods
    metrics: ReadMetrics
    statusz: ReadStatusz
