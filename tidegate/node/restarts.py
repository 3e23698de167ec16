# SPDX-License-Identifier: Apache-2.0
"""The time until a container that has ended is started again. Pure, but for its memory of earlier ends.

In: how a run ended. Out: a delay. Called by: `container.py`, which has one.

| the run | the next start |
| --- | --- |
| the first that ends | at once |
| the next ones | after `RESTART_WAITS` |
| lasted `pods.STEADY` or longer | at once, as after a first one |
| ended because another program has its port | at once, on another port; at most 5 times |

Rule for the times: Kubernetes, pkg/kubelet/kuberuntime (MaxContainerBackOff, backOffPeriod).
"""

from typing import NamedTuple

from tidegate.kit.backoff import Backoff
from tidegate.model import pods
from tidegate.node.status import Terminated


class Waits(NamedTuple):
    """Seconds before the first retry, doubling with each retry, and the longest wait."""

    first: float
    longest: float


RESTART_WAITS = Waits(first=10.0, longest=300.0)
"""After the second and later ends of a container."""

START_WAITS = Waits(first=1.0, longest=300.0)
"""After a start that failed."""

_YOUNG = 30.0  # seconds within which a run can end because its port is in use
_PORTS_TRIED = 5
_PORT_IN_USE = ("address already in use", "address in use", "eaddrinuse", "only one usage of each socket address")


class Restarts:
    """The restarts of one container."""

    def __init__(self) -> None:
        self._backoff = Backoff(*RESTART_WAITS)
        self._has_crashed = False  # and was started again at once
        self._ports_tried = 0

    def delay(self, end: Terminated) -> float:
        """Seconds until the next start; 0: at once."""
        if _seconds(end) >= pods.STEADY:
            self._backoff.forget("")
            self._has_crashed = False
        if not self._has_crashed:
            self._has_crashed = True
            return 0.0
        return self._backoff.next("")

    def needs_another_port(self, end: Terminated) -> bool:
        """Whether to try another port, because another program has this one."""
        if not end.exit.code or _seconds(end) >= _YOUNG or self._ports_tried >= _PORTS_TRIED:
            return False
        if not reports_port_in_use(end.message):
            return False
        self._ports_tried += 1
        return True


def reports_port_in_use(text: str) -> bool:
    """Whether the last lines of a log say that a port is in use."""
    return any(sign in text.lower() for sign in _PORT_IN_USE)


def _seconds(end: Terminated) -> float:
    return (end.until - end.since).total_seconds()
