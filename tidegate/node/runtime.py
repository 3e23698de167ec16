# SPDX-License-Identifier: Apache-2.0
"""What the node agent asks of whatever runs containers: one small Protocol, implemented by `process` (processes of this
host) and `memory` (nothing real, for tests).

In: a `Launch`, complete and checked. Out: a `RunningContainer`, or `LaunchRefused` with a reason that users read.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from tidegate.node.runtimes.process.sockets import ListeningSocket


class LaunchRefused(Exception):
    """A container cannot be started as it is asked for; `reason` and `message` are for its Pod's status."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Limits:
    """The most a container may use: cores, bytes of memory; None for no limit."""

    cpu: float | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Confinement:
    """Who a container's processes are, and what they may not do. `user`: None for who we are, with our groups and
    capabilities; `capabilities`: a mask of those that they may ever have; `gains`: whether set-user-ID programs work;
    `read_only`: whether nothing but /dev can be written; `filtered`: whether system calls are.
    `covered`: folders that others may not pass and that are empty for them, but for `exposed` below them."""

    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()
    capabilities: int = 0
    gains: bool = False
    read_only: bool = False
    filtered: bool = False
    covered: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Launch:
    """All that it takes to start a container. `pod` is the Pod's uid; `executes`: whether
    programs will be run beside it; `scratch`: a folder that is made for each run,
    with `home` and `tmp` in it, and removed at its end."""

    pod: str
    container: str
    program: Sequence[str]
    environment: Mapping[str, str]
    directory: Path | None = None
    port: int = 0
    limits: Limits = Limits()
    confinement: Confinement = Confinement()
    executes: bool = False
    scratch: Path | None = None


def scratch_folder(pod: Path, container: str) -> Path:
    """Where a container's own files are, in the folder of its Pod: no log or record has such a name."""
    return pod / f"{container}.files"


class ContainerExit(NamedTuple):
    """How a container ended, in the words of a container status."""

    code: int
    signal: int = 0
    reason: str = "Error"


class PodUsage(NamedTuple):
    """What the processes of a Pod have used: CPU so far, memory now."""

    cpu_seconds: float
    memory_bytes: int


class Listening(Protocol):
    """What one run of a container listens on, and a hold on its port (`listening`)."""

    async def problem(self, port: int) -> str | None:
        """None where all that listens on that port of 127.0.0.1 is the container's."""

    async def opened(self) -> Sequence[ListeningSocket] | None:
        """All sockets that the container listens on; None where nobody lets us see."""

    def hold(self) -> None:
        """Keep the port that was proven last from everybody else, where the host lets us."""

    async def lost(self) -> None:
        """Return once what was proven may not listen any more."""

    def look(self) -> None:
        """See whether it still does; asked every second."""

    def doubt(self) -> None:
        """Prove anew from here on."""

    def silence(self) -> None:
        """Refuse connections, and keep the port."""

    def release(self) -> None:
        """Give up the port."""


class RunningContainer(Protocol):
    """A container that was started, whether or not it still runs."""

    @property
    def listening(self) -> Listening: ...

    @property
    def id(self) -> str:
        """As `containerID`: the same for as long as it is the same run."""

    @property
    def started_at(self) -> datetime: ...

    async def ended(self) -> ContainerExit:
        """Return once its main process has ended."""

    async def freeze(self) -> None:
        """Keep it and all that it started from using any CPU, until `thaw`. Raises `OSError` where the host does not
        let us."""

    def thaw(self) -> None:
        """Let it go on, at once. Also of one that is being frozen; nothing where it runs."""

    async def reclaim(self) -> None:
        """Give its memory back, as far as the kernel can, until it is thawed."""

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); thawed first."""

    async def kill(self) -> None:
        """End it and all that it started; return once nothing of it is left."""

    async def execute(self, program: Sequence[str]) -> int:
        """Run a program beside it, as an exec probe does; its exit code. Cancelled, it is killed."""


class Runtime(Protocol):
    """Starts containers, and finds again those that an earlier agent started."""

    async def start(self, launch: Launch) -> RunningContainer:
        """Raises `LaunchRefused`."""

    def adopt(self, pod: str, container: str) -> RunningContainer | None:
        """The container of that Pod that an earlier agent started, if it still runs."""

    def port(self, pod: str) -> int:
        """The port that an earlier agent gave that Pod; 0 where nothing of it runs any more."""

    async def usage(self, pod: str) -> PodUsage | None:
        """None for a Pod of which nothing runs."""

    async def forget(self, pod: str) -> None:
        """The Pod is gone: end whatever is left of it and remove its traces."""

    async def forget_others(self, pods: Collection[str]) -> None:
        """Do so for every Pod that an earlier agent ran and that is not among `pods`."""
