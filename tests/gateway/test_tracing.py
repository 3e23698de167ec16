# SPDX-License-Identifier: Apache-2.0
"""Traces of requests through a real Envoy: the spans at the collector, and the headers at instances."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # type: ignore[import-untyped]

from harness import make
from harness.echo import Echo, echo
from harness.gateway import World, world
from harness.waiting import eventually
from tidegate.model.config import GatewayConfig
from tidegate.xds.listener import Telemetry
from tidegate.xds.tracing import Tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@contextlib.asynccontextmanager
async def collector() -> AsyncIterator[tuple[int, "asyncio.Queue[Any]"]]:
    """The collector's port, and the spans that it gets."""
    spans: asyncio.Queue[Any] = asyncio.Queue()

    async def export(request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            for scope in resource.instrumentation_library_spans:  # the old name of the field
                for span in scope.spans:
                    spans.put_nowait(span)
        return trace_service_pb2.ExportTraceServiceResponse()

    handler = grpc.unary_unary_rpc_method_handler(
        export,
        trace_service_pb2.ExportTraceServiceRequest.FromString,
        trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
    )
    server = grpc.aio.server()
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port, spans
    finally:
        await server.stop(None)


async def asked(gateway: World, app: Echo) -> str:
    """The traceparent at the instance, for a request with one."""
    revision = make.revision("hello-00001")
    await gateway.apply(revision, make.ingress("hello"))
    await gateway.run_at(revision, app)
    await gateway.ready("hello")
    await gateway.get("hello.example.com", headers=f"traceparent: {PARENT}\r\n")
    (said,) = app.seen
    return str(dict(said["headers"])["traceparent"])


async def test_the_trace_context_is_passed_on_unchanged(tmp_path: Path) -> None:
    async with world(tmp_path) as gateway, gateway.envoy(), echo() as app:
        assert await asked(gateway, app) == PARENT


async def test_a_collector_gets_a_span_between_the_clients_and_the_instances(tmp_path: Path) -> None:
    async with collector() as (port, spans):
        tracing = Tracing.to(f"http://127.0.0.1:{port}")
        async with world(tmp_path, tracing=tracing) as gateway, gateway.envoy(), echo() as app:
            seen = await asked(gateway, app)
            for _ in range(20):  # a worker of Envoy sends five spans at a time, or after five seconds
                await gateway.get("hello.example.com")
            async with asyncio.timeout(20):
                while (span := await spans.get()).trace_id.hex() != TRACE:
                    pass

    assert seen == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, "b7ad6b7169203331")
    attributes = {attribute.key: attribute.value.string_value for attribute in span.attributes}
    assert attributes["upstream_cluster"] == "default/hello-00001"
    assert attributes["http.status_code"] == "200"


async def test_tracing_is_enabled_at_run_time(tmp_path: Path) -> None:
    async with collector() as (port, spans), world(tmp_path) as gateway, gateway.envoy() as envoy, echo() as app:
        assert await asked(gateway, app) == PARENT
        gateway.publisher.listeners.configure(
            Telemetry(gateway.gate_socket, tracing=Tracing("localhost", port)), GatewayConfig()
        )

        async def is_traced() -> bool:
            await gateway.get("hello.example.com")
            return not spans.empty()

        await eventually(is_traced)
        assert not await envoy.counter("listener_manager.lds.update_rejected")


async def test_requests_do_not_wait_for_an_unknown_collector(tmp_path: Path) -> None:
    tracing = Tracing("nowhere.invalid", 4317)
    async with asyncio.timeout(10), world(tmp_path, tracing=tracing) as gateway, gateway.envoy(), echo() as app:
        assert TRACE in await asked(gateway, app)


@pytest.mark.parametrize("endpoint", ["", "collector:4317", "https://collector", "http://"])
def test_an_invalid_endpoint_is_rejected(endpoint: str) -> None:
    with pytest.raises(ValueError, match="an OTLP endpoint is http://HOST:PORT, not"):
        Tracing.to(endpoint)


def test_the_default_port_is_that_of_otlp() -> None:
    assert Tracing.to("http://collector") == Tracing("collector", 4317)
