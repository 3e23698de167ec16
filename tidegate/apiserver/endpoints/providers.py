# SPDX-License-Identifier: Apache-2.0
"""The answers of the API that come from other parts, as a record of callables.

Built by the composition; read by the endpoints for logs, sessions, `/metrics` and `/statusz`.
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object
from tidegate.model.sessions import SessionOptions, SessionStreams

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


class PodSessions(Protocol):
    """Sessions with the containers of running Pods. Every method raises `ApiError`."""

    def require(self, pod: Object, container: str) -> None:
        """Raise if the container cannot have a session now."""

    async def execute(self, pod: Object, container: str, options: SessionOptions, streams: SessionStreams) -> int:
        """Run a program; its exit code. Cancelling ends all that it has started."""

    async def attach(self, pod: Object, container: str, options: SessionOptions, streams: SessionStreams) -> None:
        """Copy the output of the container from now on, until its run ends."""

    async def connect(self, pod: Object, port: int) -> socket.socket:
        """A connection to a port of the Pod, which does not block. Raises `OSError` too."""


@dataclass(frozen=True, slots=True)
class Providers:
    """One callable for each answer."""

    read_pod_log: ReadPodLog
    ended_pods: EndedPods
    sessions: PodSessions
    metrics: ReadMetrics
    statusz: ReadStatusz
