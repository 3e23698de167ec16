# SPDX-License-Identifier: Apache-2.0
"""HTTP features, through a real Envoy to real instances: one gateway for all tests, each with its own host."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from harness import make
from harness.echo import Echo, echo
from harness.gate import instances
from harness.gateway import World, world
from tidegate.model.objects import Object

pytestmark = pytest.mark.asyncio(loop_scope="module")

H2C: Object = {"container": {"ports": [{"name": "h2c", "containerPort": 8080}]}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("p")
    async with world(folder, tls=True) as made, made.envoy():
        yield made


async def serve(gateway: World, name: str, app: Any, **spec: Any) -> str:
    """Route a host to a revision with one instance. Return the host."""
    revision = make.revision(f"{name}-00001", spec=make.template(**spec)["spec"])
    await gateway.apply(revision, make.ingress(name))
    await gateway.run_at(revision, app)
    await gateway.ready(name)
    return f"{name}.example.com"


@contextlib.asynccontextmanager
async def raw(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()


async def body_of(reader: asyncio.StreamReader) -> bytes:
    """A complete chunked response, with its trailers."""
    return await reader.readuntil(b"\r\n0\r\n") + await reader.readuntil(b"\r\n")


async def test_server_sent_events_arrive_one_by_one(gateway: World) -> None:
    async with echo() as app, raw(gateway.port) as (reader, writer):
        host = await serve(gateway, "events", app)
        writer.write(f"GET /events HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())

        for number in range(3):
            app.send_next()
            assert b"data: " in await reader.readuntil(f"data: {number}\n\n".encode())


async def test_a_body_in_chunks_arrives_whole(gateway: World) -> None:
    async with echo() as app, raw(gateway.port) as (reader, writer):
        host = await serve(gateway, "chunks", app)
        writer.write(f"POST / HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        for part in ("one, ", "two"):
            writer.write(f"{len(part):x}\r\n{part}\r\n".encode())
            await writer.drain()
        writer.write(b"0\r\n\r\n")

        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    assert [said["body"] for said in app.seen] == ["one, two"]


async def test_a_client_that_expects_100_continue_gets_it(gateway: World) -> None:
    async with echo() as app, raw(gateway.port) as (reader, writer):
        host = await serve(gateway, "expects", app)
        writer.write(f"POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n".encode())
        assert b" 100 Continue" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"body")

        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    assert [said["body"] for said in app.seen] == ["body"]


async def test_trailers_of_http_1_are_passed_on(gateway: World) -> None:
    async with echo() as app, raw(gateway.port) as (reader, writer):
        host = await serve(gateway, "trailers", app)
        writer.write(f"GET /trailers HTTP/1.1\r\nhost: {host}\r\nte: trailers\r\n\r\n".encode())

        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        assert (await body_of(reader)).endswith(b"checksum: 42\r\n")


async def test_a_websocket_is_a_stream_both_ways(gateway: World) -> None:
    async with instances(1) as (app,), raw(gateway.port) as (reader, writer):
        host = await serve(gateway, "socket", app)
        upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: a\r\n"
        writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\n{upgrade}\r\n".encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")

        for message in (b"one", b"two"):
            writer.write(message)
            assert await reader.readexactly(3) == message


@contextlib.asynccontextmanager
async def grpc_echo() -> AsyncIterator[Echo]:
    """An instance that speaks gRPC: /test.Echo/Say repeats one message, /test.Echo/Talk each of a stream."""

    async def say(request: bytes, context: Any) -> bytes:
        if request == b"wrong":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not that")
        return request

    async def talk(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    handlers = {"Say": grpc.unary_unary_rpc_method_handler(say), "Talk": grpc.stream_stream_rpc_method_handler(talk)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    at = Echo()
    at.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield at
    finally:
        await server.stop(None)


async def test_grpc_calls_streams_and_errors_pass_if_the_port_is_named_h2c(gateway: World) -> None:
    async with grpc_echo() as app:
        host = await serve(gateway, "rpc", app, **H2C)
        dial: Any = grpc.aio.insecure_channel  # the stubs have no calls without serializers
        async with dial(f"127.0.0.1:{gateway.port}", options=(("grpc.default_authority", host),)) as channel:
            say, talk = channel.unary_unary("/test.Echo/Say"), channel.stream_stream("/test.Echo/Talk")

            assert await say(b"hello") == b"hello"
            call = talk()
            for message in (b"one", b"two"):
                await call.write(message)
                assert await call.read() == message
            await call.done_writing()
            assert await call.code() is grpc.StatusCode.OK
            with pytest.raises(grpc.aio.AioRpcError, match="not that") as error:
                await say(b"wrong")
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_http_2_without_tls_reaches_instances_of_http_1(gateway: World) -> None:
    async with echo() as app, httpx.AsyncClient(http1=False, http2=True, timeout=20) as client:
        host = await serve(gateway, "two", app)

        answer = await client.post(f"http://127.0.0.1:{gateway.port}/", headers={"host": host}, content=b"body")

        assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
        assert answer.json()["body"] == "body"


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
async def test_https_uses_the_protocol_that_the_client_offers(gateway: World, protocol: str) -> None:
    context = ssl.create_default_context(cafile=str(gateway.folder / "tls" / "ca.crt"))
    context.set_alpn_protocols([protocol])
    async with echo() as app:
        host = await serve(gateway, f"secure-{protocol[-1]}", app)
        is_2 = protocol == "h2"
        async with httpx.AsyncClient(verify=context, timeout=20, http1=not is_2, http2=is_2) as client:
            answer = await client.get(
                f"https://127.0.0.1:{gateway.https_port}/", headers={"host": host}, extensions={"sni_hostname": host}
            )

    assert (answer.status_code, answer.http_version) == (200, "HTTP/2" if is_2 else "HTTP/1.1")
    headers = dict(answer.json()["headers"])
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-for"]


# responseStartTimeoutSeconds is also the longest wait for an instance.
WHOLE: Object = {"timeoutSeconds": 0.5, "responseStartTimeoutSeconds": 600}
SILENT: Object = {"idleTimeoutSeconds": 0.2}


@pytest.mark.parametrize("limit", [WHOLE, {"responseStartTimeoutSeconds": 0.2}, SILENT])
async def test_a_response_that_does_not_begin_in_time_is_504_with_knatives_text(gateway: World, limit: Object) -> None:
    async with echo() as app:
        host = await serve(gateway, f"slow-{len(limit)}-{next(iter(limit)).lower()}", app, **limit)

        late = await gateway.get(host, "/late/10")
        assert late.status == 504
        assert late.body.startswith("request timeout: ")
        assert (await gateway.get(host, "/late/0.01")).status == 200


@pytest.mark.parametrize(("limit", "pause"), [(WHOLE, "0.05"), (SILENT, "10")])
async def test_a_response_that_has_begun_is_cut_off_and_nothing_is_appended(
    gateway: World, limit: Object, pause: str
) -> None:
    async with echo() as app, raw(gateway.port) as (reader, writer):
        host = await serve(gateway, f"cut-{len(limit)}", app, **limit)

        writer.write(f"GET /drip/{pause} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        head, _, chunks = (await reader.read(-1)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert chunks == b"1\r\n.\r\n" * chunks.count(b".")  # without the last chunk, so a client notices

        body = b""
        async with httpx.AsyncClient(http1=False, http2=True, timeout=20) as client:
            with pytest.raises(httpx.RemoteProtocolError, match="StreamReset"):
                async with client.stream(
                    "GET", f"http://127.0.0.1:{gateway.port}/drip/{pause}", headers={"host": host}
                ) as answer:
                    async for part in answer.aiter_raw():
                        body += part
        assert (answer.status_code, body) == (200, b"." * len(body))


UPLOAD = "content-length: 9\r\n"
WEBSOCKET = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: a\r\n"


@pytest.mark.parametrize("limit", [WHOLE, {"responseStartTimeoutSeconds": 0.2}, SILENT])
async def test_timeouts_hold_while_a_request_is_still_being_sent(gateway: World, limit: Object) -> None:
    async with instances(1) as (app,), raw(gateway.port) as (reader, writer):
        host = await serve(gateway, f"upload-{len(limit)}-{next(iter(limit)).lower()}", app, **limit)
        writer.write(f"POST /stream/0 HTTP/1.1\r\nhost: {host}\r\n{UPLOAD}\r\n".encode())

        async def drip() -> None:
            for _ in range(8):
                writer.write(b".")
                await asyncio.sleep(0.1)

        dripping = asyncio.create_task(drip())
        answer = await reader.readuntil(b"request timeout")
        dripping.cancel()

    assert answer.startswith(b"HTTP/1.1 504")


@pytest.mark.parametrize("limit", [WHOLE, SILENT])
async def test_a_websocket_has_timeouts_too(gateway: World, limit: Object) -> None:
    async with instances(1) as (app,), raw(gateway.port) as (reader, writer):
        host = await serve(gateway, f"websocket-{len(limit)}", app, **limit)
        writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\n{WEBSOCKET}\r\n".encode())

        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        assert await reader.read() == b""


async def test_a_stream_without_long_silence_continues_if_it_has_no_other_limit(gateway: World) -> None:
    async with instances(1) as (app,), raw(gateway.port) as (reader, writer):
        host = await serve(gateway, "talks", app, idleTimeoutSeconds=0.5, responseStartTimeoutSeconds=0.5)
        writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\n{WEBSOCKET}\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")

        for _ in range(12):
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("offer", ["TLS/1.2", "h2c", "websockets", "web", "TLS/1.2, h2c"])
async def test_an_upgrade_to_another_protocol_is_ignored(gateway: World, offer: str) -> None:
    async with echo() as app, raw(gateway.port) as (reader, writer):
        host = await serve(gateway, f"offer-{''.join(filter(str.isalnum, offer)).lower()}", app)
        writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: {offer}\r\n\r\n".encode())

        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert not {"upgrade", "connection"} & {name for name, _ in app.seen[0]["headers"]}


@pytest.mark.parametrize("offer", ["websocket", "WebSocket", "TLS/1.2, websocket"])
async def test_an_upgrade_to_websocket_is_passed_on_among_others(gateway: World, offer: str) -> None:
    async with instances(1) as (app,), raw(gateway.port) as (reader, writer):
        host = await serve(gateway, f"socket-{len(offer)}-{offer[0].lower()}", app)
        writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: {offer}\r\n\r\n".encode())

        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
