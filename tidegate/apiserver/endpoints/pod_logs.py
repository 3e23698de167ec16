# SPDX-License-Identifier: Apache-2.0
"""The endpoints for logs: the log of a Pod, and the ended instances of a service whose logs are kept."""

from starlette.requests import Request
from starlette.types import ASGIApp

from tidegate.apiserver.endpoints import containers, parameters, responses
from tidegate.apiserver.endpoints.paths import ResourcePath
from tidegate.apiserver.endpoints.providers import EndedPods, ReadPodLog
from tidegate.apiserver.endpoints.streams import StreamResponse, Streams
from tidegate.apiserver.registry.reader import Reader
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.kinds import NAMESPACE, POD
from tidegate.model.objects import Key, Object


class PodLogEndpoints:
    """Answers requests for logs from the node's files."""

    def __init__(
        self, reader: Reader, read_pod_log: ReadPodLog, ended_pods: EndedPods, streams: Streams, clock: Clock
    ) -> None:
        self._reader = reader
        self._read_pod_log = read_pod_log
        self._ended_pods = ended_pods
        self._streams = streams
        self._clock = clock

    async def log(self, request: Request, path: ResourcePath) -> ASGIApp:
        options = parameters.log_options(request.query_params, self._clock.wall())
        pod = self._pod(path.key)
        container = containers.requested(pod, request.query_params.get("container", ""))
        return StreamResponse(self._streams, self._read_pod_log(pod, container, options), "text/plain")

    async def ended(self, request: Request, path: ResourcePath) -> ASGIApp:
        """The ended Pods of a service, which may be deleted itself."""
        found = [pod for pod in self._ended_pods.of(path.key) if self._is_of_namespace(pod)]
        return responses.json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found})

    def _pod(self, name: Key) -> Object:
        """The Pod, or an ended Pod of that name whose log is kept."""
        try:
            return self._reader.get(POD, name)
        except errors.NotFound:
            ended = self._ended_pods.pod(name)
            if ended is None or not self._is_of_namespace(ended):
                raise
            return ended

    def _is_of_namespace(self, ended: Object) -> bool:
        """Whether a Pod ran in the present namespace of that name, not in an earlier one, which may have had other
        users."""
        try:
            namespace = self._reader.get(NAMESPACE, Key("", ended["metadata"]["namespace"]))
        except errors.NotFound:
            return False
        return bool(namespace["metadata"]["creationTimestamp"] <= ended["metadata"]["creationTimestamp"])
