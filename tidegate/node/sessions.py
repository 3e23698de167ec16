# SPDX-License-Identifier: Apache-2.0
"""Sessions with the containers of this node: programs, output and connections, for clients of the API.

In: a Pod, a container, the streams of a client. Out: the exit code of a program, or `ApiError`. A session ends with its
client: the API server cancels it, and no process of it is left. Called by: the API server (`PodSessions`).

An instance on standby is not woken for a session: it would take requests. While an instance has a session it is not
frozen.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence

from tidegate.model import errors, names, pods
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object, key, spec, uid
from tidegate.model.sessions import SessionOptions, SessionStreams
from tidegate.node.container import Container
from tidegate.node.instance import Instance
from tidegate.node.pod_logs import PodLogs
from tidegate.node.program_files import program_files
from tidegate.node.runtime import RunningContainer
from tidegate.node.status import StandbyState, Terminated, Waiting


class Sessions:
    """The sessions of one node."""

    def __init__(self, instances: Mapping[Key, Instance], logs: PodLogs) -> None:
        self._instances = instances
        self._logs = logs

    def require(self, pod: Object, container: str) -> None:
        """Raise `BadRequest` if that container ("": any of the Pod) does not run, or if it is frozen."""
        self._running(pod, container)

    async def execute(self, pod: Object, container: str, options: SessionOptions, streams: SessionStreams) -> int:
        """Run a program in a container; its exit code."""
        instance, (running, *_) = self._running(pod, container)
        with instance.standby.held(), program_files(options) as files:
            program = asyncio.create_task(running.execute(options.command, files.stdio), name="session program")
            output = asyncio.create_task(files.copy_output(streams), name="session output")
            helpers = [
                asyncio.create_task(files.copy_input(streams), name="session input"),
                asyncio.create_task(files.follow_size(streams), name="session terminal"),
            ]
            try:
                await asyncio.wait([program, output], return_when=asyncio.FIRST_COMPLETED)
                if not program.done():
                    output.result()  # raises if the client has left
                code = await program
                files.end()
                await output
            finally:
                for task in (program, output, *helpers):
                    task.cancel()
                await asyncio.gather(program, output, *helpers, return_exceptions=True)
        return code

    async def attach(self, pod: Object, container: str, options: SessionOptions, streams: SessionStreams) -> None:
        """Copy the output of a container from now on, until its run ends. Its stderr is part of its stdout."""
        instance, _ = self._running(pod, container)
        follow = LogOptions(follow=True, tail_lines=0)
        with instance.standby.held():
            async for data in self._logs.read(pod, container, follow):
                await streams.write(data, is_error=not options.stdout)

    async def connect(self, pod: Object, port: int) -> socket.socket:
        """A connection to a port of the Pod: of the port that its spec names, or of any that its containers have
        opened."""
        instance, running = self._running(pod, "")
        if port == pods.serving_port(spec(pod)):
            port = instance.port
        refused: OSError | None = None
        for container in running:
            try:
                return await container.connect(port)
            except ConnectionRefusedError as error:
                refused = refused or error
        raise refused or ConnectionRefusedError("no container runs")

    def _running(self, pod: Object, name: str) -> tuple[Instance, list[RunningContainer]]:
        """The instance, and its running containers, or the named one. Raises `BadRequest`."""
        of_pod = f'pod "{pod["metadata"]["name"]}"'
        instance = self._instances.get(key(pod))
        if instance is None or instance.uid != uid(pod):
            raise errors.BadRequest(f"{of_pod} does not run on this node")
        if instance.standby.state is StandbyState.FROZEN:
            raise errors.BadRequest(
                f"{of_pod} is on standby: its processes are frozen until a request needs them. "
                f"Send a request, or remove the label {names.STANDBY}"
            )
        containers = [container for container in instance.containers.all if name in ("", container.name)]
        running = [container.running for container in containers if container.running is not None]
        if not running:
            raise errors.BadRequest(f"{_named(name)} of {of_pod} does not run{_reason(containers)}")
        return instance, running


def _reason(containers: Sequence[Container]) -> str:
    """The reason of the first container, if it has one."""
    state = containers[0].view.state if containers else None
    if isinstance(state, Waiting):
        return f": it waits ({state.reason})"
    return ": it has ended" if isinstance(state, Terminated) else ""


def _named(name: str) -> str:
    return f'container "{name}"' if name else "no container"
