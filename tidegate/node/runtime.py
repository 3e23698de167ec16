# SPDX-License-Identifier: Apache-2.0
"""The protocol between the node agent and a container runtime.

In: a `Launch`, a container as its Pod's spec asks for it. Out: a `PreparedContainer`, then a `CreatedContainer`, then a
`RunningContainer`; or `LaunchRejected`, whose reason and message become the container's status. A runtime refuses every
field that it cannot honour, and its message names the field. Called by: `container.py`, `prober.py` and `port_guard.py`
(one container); `pod_setup.py` and `instance.py` (its Pod); `agent.py`, `node_context.py` and `orphans.py` (adoption
and removal).

| a container | exists |
| --- | --- |
| prepared | its image is on this node; nothing of it runs |
| created | all that takes time: namespaces, file system, control group; no program of the app runs |
| running | its program |

| implementation | runs |
| --- | --- |
| `runtimes/process` | processes of this host |
| `runtimes/choice.py` | nothing itself: it chooses the runtime of each Pod |
| `runtimes/memory.py` | nothing; for tests |
"""

import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from tidegate.model.objects import Object, uid
from tidegate.model.text import quantities

CONFIG_ERROR = "CreateContainerConfigError"
"""The reason of a container whose spec asks for something that cannot take effect."""


class LaunchRejected(Exception):
    """A container cannot be started as its spec asks. `reason` and `message` are for its Pod's status."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a container may use: cores, bytes of memory. None: no limit."""

    cpu: float | None = None
    memory: int | None = None


class Mount(NamedTuple):
    """A volume of the Pod, and the path where a container expects it."""

    volume: str
    path: str


@dataclass(frozen=True, slots=True)
class Launch:
    """A container as its Pod's spec asks for it. The whole objects are here because each runtime reads fields that
    others do not know, e.g. `securityContext`. `port`: the instance's port; 0 for a container without requests.
    `volumes`: each volume of the Pod as a folder or file of this host."""

    pod: Object
    container: Object
    port: int = 0
    volumes: Mapping[str, Path] = field(default_factory=dict)

    @property
    def pod_uid(self) -> str:
        return uid(self.pod)

    @property
    def name(self) -> str:
        return str(self.container["name"])

    @property
    def image(self) -> str:
        return str(self.container.get("image") or "")

    @property
    def command(self) -> list[str]:
        return list(self.container.get("command") or ())

    @property
    def arguments(self) -> list[str]:
        return list(self.container.get("args") or ())

    @property
    def mounts(self) -> list[Mount]:
        mounts = self.container.get("volumeMounts") or ()
        return [Mount(str(mount.get("name") or ""), str(mount.get("mountPath") or "")) for mount in mounts]

    @property
    def limits(self) -> Limits:
        """Raises `LaunchRejected` for an amount that is not a quantity."""
        amounts = (self.container.get("resources") or {}).get("limits") or {}
        try:
            cpu = quantities.parse(amounts["cpu"]).amount if "cpu" in amounts else None
            memory = quantities.parse(amounts["memory"]).amount if "memory" in amounts else None
        except ValueError as error:
            raise LaunchRejected(CONFIG_ERROR, f"resources.limits: {error}") from error
        return Limits(float(cpu) if cpu is not None else None, int(memory) if memory is not None else None)


class ContainerExit(NamedTuple):
    """How a container ended, in the words of a container status. `message`: its termination message, if it wrote
    one."""

    code: int
    signal: int = 0
    reason: str = "Error"
    message: str = ""


class Stdio(NamedTuple):
    """The files that a program reads and writes. The caller closes them. `terminal`: they are a terminal, which becomes
    the program's controlling terminal."""

    stdin: int
    stdout: int
    stderr: int
    terminal: bool = False


class PodUsage(NamedTuple):
    """The resources of all processes of a Pod: CPU time used so far, memory in use now."""

    cpu_seconds: float
    memory_bytes: int


class ListeningSocket(NamedTuple):
    """A TCP socket that listens. `user`: the uid that created it."""

    address: str
    port: int
    user: int
    inode: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Listening(Protocol):
    """The sockets of one run of a container, and a reservation of its port."""

    async def problem(self, port: int) -> str | None:
        """None if every socket that listens on that port of the container's address belongs to the container."""

    async def opened(self) -> Sequence[ListeningSocket] | None:
        """All sockets that the container listens on; None if the host does not let us see them."""

    def is_taken(self, port: int) -> bool:
        """Whether any program listens on that port of the container's address."""

    def hold_port(self) -> None:
        """Keep the port that `problem` checked last from all other programs, if the host lets us."""

    async def lost(self) -> None:
        """Return once the container may have stopped listening on the port that was checked."""

    def check(self) -> None:
        """Let `lost` return if the container does not listen any more. Called every second."""

    def invalidate(self) -> None:
        """Forget the last result: the next `problem` checks every socket again."""

    def refuse_connections(self) -> None:
        """Refuse connections and keep the port."""

    def release(self) -> None:
        """Give the port up."""


class RunningContainer(Protocol):
    """A container that was started. It may have ended since."""

    @property
    def listening(self) -> Listening: ...

    @property
    def id(self) -> str:
        """The `containerID`: each run has another one, and an adopted run keeps it."""

    @property
    def started_at(self) -> datetime: ...

    async def ended(self) -> ContainerExit:
        """Return once its main process has ended."""

    async def freeze(self) -> None:
        """Stop it and all that it started from using CPU, until `thaw`. Raises `OSError` if the host refuses."""

    def thaw(self) -> None:
        """Resume it at once, also while `freeze` runs. Does nothing if it is not frozen."""

    async def reclaim(self) -> None:
        """Move its memory to swap, as far as the kernel can, until it is thawed."""

    def terminate(self) -> None:
        """Thaw it and send SIGTERM."""

    async def kill(self) -> None:
        """End it and all that it started. Returns once no process of it is left."""

    async def execute(self, program: Sequence[str], stdio: Stdio | None = None) -> int:
        """Run a program in it: with its user, limits, files and environment. Returns the exit code, as a shell has it:
        126 or 127 if the program cannot be executed, with the reason on its stderr. `stdio` None: no input, and the
        output is discarded. Cancelling kills the program and all that it started."""

    async def connect(self, port: int) -> socket.socket:
        """A connection to a port on which it listens, also only on loopback; the socket does not block. Raises
        `OSError`; `ConnectionRefusedError` if the container does not listen there."""


@runtime_checkable
class CreatedContainer(Protocol):
    """A container that is complete except for its program. It uses no CPU, and survives the control plane."""

    async def start(self) -> RunningContainer:
        """Execute its program. Called once. Raises `LaunchRejected`; nothing of the container is left then, nor if the
        call is cancelled."""

    async def remove(self) -> None:
        """Remove a container that is not to be started any more."""


class PreparedContainer(Protocol):
    """A container whose image is on this node, and whose spec the runtime accepts."""

    @property
    def image_id(self) -> str:
        """The `imageID` of the container's status: the image by its digest."""

    async def create(self, environment: Mapping[str, str]) -> CreatedContainer:
        """Do all that takes time before the start. `environment`: the variables that its spec sets; the runtime adds
        those of the image and its own. Cancelling leaves nothing. Raises `LaunchRejected`."""


class RuntimeUnavailable(Exception):
    """This host or user cannot run containers as the settings ask. The message is one line."""


class Runtime(Protocol):
    """Starts containers, and finds the containers again that an earlier agent started. A Pod is known by its uid.

    Duties that no signature shows:

    - Containers outlive the control plane, also when it is killed. `adopt` finds them.
    - `port` returns `Launch.port` of a running Pod's container, also under the next control plane. The runtime records
      it.
    - The output of a container goes to `ContainerLog(<instances>/<pod uid>, <container>)`, without a detour through
      this process. Each run begins a log (`ContainerLog.begin`).
    - When no control plane runs, `tidegate down` ends all containers by `this_host.end_instances`.
    """

    def has_own_address(self, pod: Object) -> bool:
        """Whether instances of that Pod have an address of their own, and listen there on the port that their spec
        names. Others listen on loopback, on a port that the agent chooses."""

    async def set_up_pod(self, pod: Object) -> str:
        """Make what the containers of a Pod share, e.g. a network namespace, or find it again; the Pod's IP address.
        Idempotent; `forget` removes it. Raises `LaunchRejected`."""

    async def prepare(self, launch: Launch) -> PreparedContainer:
        """Check what the spec asks for and get the image, which may take as long as a download. Raises
        `LaunchRejected`."""

    def adopt(self, pod: str, container: str) -> CreatedContainer | RunningContainer | None:
        """The container of that Pod that an earlier agent created or started, if it still exists. A container that
        ended meanwhile counts as running if its exit code is known: `ended` returns it."""

    def port(self, pod: str) -> int:
        """The port that an earlier agent gave that Pod; 0 if nothing of it runs any more, or if the Pod has an address
        of its own."""

    async def usage(self, pod: str) -> PodUsage | None:
        """None for a Pod without processes."""

    async def forget(self, pod: str) -> None:
        """End all that is left of a deleted Pod and remove its files."""

    async def forget_others(self, pods: Collection[str]) -> None:
        """Do so for every Pod that an earlier agent ran and that is not in `pods`."""
