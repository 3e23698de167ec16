# SPDX-License-Identifier: Apache-2.0
"""The management server: delta ADS over a Unix socket, for any number of Envoys.

In: changes of the snapshot. Out: each Envoy gets the difference from its own resources; callbacks report progress. An
Envoy of an earlier control plane reports the versions that it has, and gets only changes. It waits until `open`, so
that an incomplete snapshot removes nothing. Called by: `gateway/publisher/publisher.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import structlog
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from tidegate.xds.resource import XdsResource
from tidegate.xds.snapshot import Snapshot
from tidegate.xds.stream import DeltaStream
from tidegate.xds.subscription import Acknowledgement

_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

GrpcContext = grpc.aio.ServicerContext[discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse]


class ManagementServer:
    """Serves one snapshot. `progressed`: called with each resource that an Envoy acknowledged or rejected. `joined`:
    called with the node id of an Envoy before it gets anything, and with whether it has no resources yet. `left`:
    called with the node id when the Envoy's last stream ends."""

    def __init__(
        self,
        path: Path,
        snapshot: Snapshot,
        progressed: Callable[[XdsResource], None],
        joined: Callable[[str, bool], None],
        left: Callable[[str], None],
    ) -> None:
        self._path = path
        self._snapshot = snapshot
        self._progressed = progressed
        self._joined = joined
        self._left = left
        self._streams: set[_Connection] = set()
        self._open = asyncio.Event()
        self._log = structlog.get_logger("xds")

    def open(self) -> None:
        """Begin to send resources: the snapshot is complete."""
        self._open.set()

    def in_force(self, resource: XdsResource) -> bool:
        """Whether at least one Envoy is connected, and all have acknowledged this version."""
        return bool(self._streams) and all(connection.stream.in_force(resource) for connection in self._streams)

    def error(self, resource: XdsResource) -> str:
        """Why an Envoy rejected this version; "" if none did."""
        return next((why for connection in self._streams if (why := connection.stream.error(resource))), "")

    @property
    def connected(self) -> bool:
        return bool(self._streams)

    async def run(self) -> None:
        """Serve until cancelled."""
        self._path.unlink(missing_ok=True)
        server = grpc.aio.server(options=_UNLIMITED)
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(_Servicer(self.serve), server)
        server.add_insecure_port(f"unix:{self._path}")
        await server.start()
        self._path.chmod(0o600)
        ended = asyncio.create_task(server.wait_for_termination(), name="end of the xds server")
        try:
            await asyncio.shield(ended)  # gRPC cannot be stopped after `ended` is cancelled
        finally:
            await server.stop(None)

    async def serve(self, requests: AsyncIterator[discovery_pb2.DeltaDiscoveryRequest], context: GrpcContext) -> None:
        """Serve one stream of an Envoy until it ends."""
        await self._open.wait()
        following = aiter(requests)
        first = await anext(following, None)
        if first is None:
            return
        connection = _Connection(self._snapshot, first.node.id)
        self._snapshot.subscribe(connection.changed)
        self._streams.add(connection)
        self._joined(connection.node, not first.initial_resource_versions)
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(connection.write(context), name="xds stream")
                self._receive(connection, first)
                async for request in following:
                    self._receive(connection, request)
                writing.cancel()
        finally:
            self._streams.discard(connection)
            self._snapshot.unsubscribe(connection.changed)
            if all(other.node != connection.node for other in self._streams):
                self._left(connection.node)

    def _receive(self, connection: "_Connection", request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        self._report(request.type_url, connection.stream.receive(request))
        connection.wake()

    def _report(self, type_url: str, acknowledgements: list[Acknowledgement]) -> None:
        for acknowledgement in acknowledgements:
            if acknowledgement.error:
                owner = str(acknowledgement.resource.owner) if acknowledgement.resource is not None else ""
                kind = type_url.rpartition(".")[2]
                self._log.error(
                    "rejected by Envoy", type=kind, name=acknowledgement.name, object=owner, why=acknowledgement.error
                )
            if acknowledgement.resource is not None:
                self._progressed(acknowledgement.resource)


class _Connection:
    """A stream's state, and the task that writes to it."""

    def __init__(self, snapshot: Snapshot, node: str) -> None:
        self.node = node
        self.stream = DeltaStream(snapshot, node)
        self._changed = asyncio.Event()

    def changed(self, type_url: str, name: str) -> None:
        self.stream.changed(type_url, name)
        self.wake()

    def wake(self) -> None:
        self._changed.set()

    async def write(self, context: GrpcContext) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for response in self.stream.responses():
                await context.write(response)


class _Servicer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]
    """The gRPC service of the server."""

    def __init__(self, serve: Callable[[AsyncIterator[Any], GrpcContext], Any]) -> None:
        self._serve = serve

    async def DeltaAggregatedResources(self, requests: AsyncIterator[Any], context: GrpcContext) -> None:  # noqa: N802
        await self._serve(requests, context)
