# SPDX-License-Identifier: Apache-2.0
"""The state of a container, as its Pod's status will show it.

In: changes by `container.py` (its runs) and `prober.py` (its probes). Out: a `ContainerView`, and a call of `changed`
whenever that is another.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from tidegate.model.objects import Object, status
from tidegate.node.runtime import ContainerExit, RunningContainer
from tidegate.node.status import EPOCH, ContainerView, Running, Terminated, Waiting, terminated


class ContainerState:
    """`problem`: the last finding of its probes while it is not ready; `cause`: the probe that ends its current run;
    `final`: whether it will not be started again; `created`: whether it waits for its start; `first`: its state before
    its first run."""

    def __init__(self, name: str, image: str, first: Waiting, changed: Callable[[], None]) -> None:
        self.name = name
        self.first = first
        self.current: Waiting | Running | Terminated = first
        self.last: Terminated | None = None
        self.ready = self.started = self.final = self.created = False
        self.has_started = asyncio.Event()
        self.restarts = 0
        self.problem = self.cause = ""
        self.changed = changed
        self.image_id = image
        self._image = image
        self._before: Object = {}  # as an earlier agent wrote it

    def restore(self, pod: Object, adopted: RunningContainer | None) -> None:
        """Continue with the status that an earlier agent wrote. `adopted`: the run that it started, if that lives."""
        entries = (*(status(pod).get("containerStatuses") or ()), *(status(pod).get("initContainerStatuses") or ()))
        before = self._before = next((dict(entry) for entry in entries if entry.get("name") == self.name), {})
        self.restarts = int(before.get("restartCount") or 0)
        self.image_id = before.get("imageID") or self._image
        if adopted is not None:
            same = before.get("containerID") == adopted.id
            self.current = Running(adopted.id, (_started_at(before) if same else None) or adopted.started_at)
            self.last = terminated((before.get("lastState") or {}).get("terminated"))
            self.ready, self.started = same and bool(before.get("ready")), same and bool(before.get("started"))
        elif before.get("containerID"):
            self.restarts += 1

    def restore_end(self) -> None:
        """It ended with code 0 under an earlier agent, and is not started again."""
        if self.current == self.first:
            ended = terminated((self._before.get("state") or {}).get("terminated"))
            self.current = ended or Terminated("", ContainerExit(0, 0, "Completed"), "", EPOCH, EPOCH)
            self.restarts = int(self._before.get("restartCount") or 0)
            self.final = True

    @property
    def view(self) -> ContainerView:
        return ContainerView(
            self.name,
            self._image,
            self.image_id,
            self.current,
            self.last,
            self.ready,
            self.started,
            self.restarts,
            self.final,
            self.problem,
            self.created,
        )

    @property
    def is_running(self) -> bool:
        return isinstance(self.current, Running)

    def set_started(self) -> None:
        self.started = True
        self.has_started.set()

    def move_to(self, current: Waiting | Running | Terminated) -> None:
        self.current = current
        self.changed()

    def set_ready(self) -> None:
        if not self.ready:
            self.ready, self.problem = True, ""
            self.changed()

    def set_unready(self, problem: str = "") -> None:
        if self.ready or problem != self.problem:
            self.ready, self.problem = False, problem
            self.changed()


def _started_at(before: Object) -> datetime | None:
    """The start of a run as an earlier agent reported it, which is more exact than the kernel's ticks."""
    started = ((before.get("state") or {}).get("running") or {}).get("startedAt")
    return datetime.fromisoformat(started) if started else None
