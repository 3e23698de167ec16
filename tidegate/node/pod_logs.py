# SPDX-License-Identifier: Apache-2.0
"""The logs of this node's containers, for the API server.

In: a Pod, one of its containers, the options of `kubectl logs`. Out: chunks of the log, or `BadRequest` with the
kubelet's words. Called by: the API server (`read`), `node.py` (`note`).
"""

from collections.abc import AsyncIterator, Mapping

from tidegate.model import errors, pods
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object, key, uid
from tidegate.node.container import Container
from tidegate.node.instance import Instance
from tidegate.node.logs import ContainerLog
from tidegate.node.node_context import NodeContext
from tidegate.node.status import STARTING, Waiting


class PodLogs:
    """The logs of instances that run and of instances that have ended."""

    def __init__(self, node: NodeContext, instances: Mapping[Key, Instance]) -> None:
        self._node = node
        self._instances = instances

    async def read(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """A container's log (`apiserver.resources.PodLogs`), also of a deleted Pod."""
        archived = self._node.archive.place(uid(pod))
        running = self._container(pod, container) if archived is None else None
        log = running.log if running is not None else ContainerLog(archived or self._node.folder / uid(pod), container)
        meant = running.log_options(options) if running is not None else options
        live = (lambda: running.is_running) if running is not None else (lambda: False)
        if meant is None:
            if pods.is_prepared(pod) and not options.previous:  # `kubectl logs -l` means the instances beside it
                return
            raise errors.BadRequest(_why_no_log(pod, container, running, options))
        try:
            async for chunk in log.read(meant, clock=self._node.clock, live=live):
                yield chunk
        except FileNotFoundError as error:
            raise errors.BadRequest(_why_no_log(pod, container, running, options)) from error

    async def note(self) -> None:
        """Note the size of every log and keep it within its bound. A log that fails does not stop the others; the last
        failure is raised at the end."""
        now, failure = self._node.clock.wall(), None
        for instance in list(self._instances.values()):
            for container in instance.containers.all:
                try:
                    container.log.note(now)
                except OSError as error:
                    failure = error
        if failure is not None:
            raise failure

    def _container(self, pod: Object, name: str) -> Container | None:
        instance = self._instances.get(key(pod))
        if instance is None or instance.uid != uid(pod):
            return None
        return next((container for container in instance.containers.all if container.name == name), None)


def _why_no_log(pod: Object, name: str, container: Container | None, options: LogOptions) -> str:
    """Rule: pkg/kubelet/kubelet_pods.go, validateContainerLogStatus."""
    of_pod = f'container "{name}" in pod "{pod["metadata"]["name"]}"'
    if options.previous:
        return f"previous terminated {of_pod} not found"
    state = container.view.state if container is not None else STARTING
    return f"{of_pod} is waiting to start: {state.reason if isinstance(state, Waiting) else STARTING.reason}"
