# SPDX-License-Identifier: Apache-2.0
"""`pods/exec`, `pods/attach` and `pods/portforward` as their clients see them, over each protocol."""

import asyncio
import base64
import json
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h11
import pytest

from harness.apiserver import Served, served
from harness.waiting import eventually
from tests.apiserver import make
from tests.apiserver.make import given
from tidegate.apiserver.endpoints import session_response
from tidegate.model import errors
from tidegate.model.kinds import POD
from tidegate.model.objects import Object
from tidegate.model.sessions import SessionOptions, SessionStreams
from tidegate.streaming.duplex import SocketDuplex
from tidegate.streaming.spdy import SpdyConnection, SpdyStream, StreamReset
from tidegate.streaming.websocket import Tunnel, WebSocket

PATH = "/api/v1/namespaces/default/pods/a"
WEBSOCKET = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": base64.b64encode(bytes(16)).decode(),
}
SPDY = {"connection": "Upgrade", "upgrade": "SPDY/3.1"}
CONTENT = random.Random(3).randbytes(1_000_000)


class Programs:
    """Programs without processes: the first word of the command says how each behaves."""

    def __init__(self) -> None:
        self.refusal = ""
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.options = SessionOptions()
        self.container = ""
        self.echoes: set[asyncio.Task[None]] = set()

    def require(self, pod: Object, container: str) -> None:
        if self.refusal:
            raise errors.BadRequest(self.refusal)

    async def execute(self, pod: Object, container: str, options: SessionOptions, streams: SessionStreams) -> int:
        self.options, self.container = options, container
        self.started.set()
        try:
            return await self._run(options.command, streams)
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled.set()
            raise

    async def _run(self, command: Sequence[str], streams: SessionStreams) -> int:
        match command:
            case ["cat"]:
                while data := await streams.read():
                    await streams.write(data)
                await streams.write(b"end", is_error=True)
                return 0
            case ["exit", code]:
                return int(code)
            case ["size"]:
                size = await streams.resized()
                await streams.write(f"{size.columns}x{size.rows}".encode())
                return 0
            case ["refused"]:
                raise errors.BadRequest("cannot be run")
            case ["flood"]:
                while True:
                    await streams.write(bytes(65536))
            case ["broken"]:
                raise RuntimeError("a fault of ours")
            case _:
                await asyncio.Event().wait()
                return 0

    async def attach(self, pod: Object, container: str, options: SessionOptions, streams: SessionStreams) -> None:
        await streams.write(b"one line\n")

    async def connect(self, pod: Object, port: int) -> socket.socket:
        """A server that sends everything back, on every port but 9."""
        if port == 9:
            raise ConnectionRefusedError("nothing listens there")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=theirs)

        async def echo() -> None:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

        self.echoes.add(asyncio.create_task(echo()))
        return ours


@pytest.fixture
def programs() -> Programs:
    return Programs()


@pytest.fixture
async def server(tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(session_response, "_LINGER_SECONDS", 0.05)
    async with served(tmp_path, sessions=programs) as server:
        await given(server.api, POD, make.pod("a"))
        yield server


class Connection:
    """One connection to the server, after its answer. `body`: of another answer than 101."""

    def __init__(self, head: h11.Response | h11.InformationalResponse, body: bytes, duplex: SocketDuplex) -> None:
        self.code = head.status_code
        self.headers = {name.decode(): value.decode() for name, value in head.headers}
        self.body = body
        self.duplex = duplex


@asynccontextmanager
async def request(
    server: Served, target: str, headers: dict[str, str], method: str = "GET", token: str = ""
) -> AsyncIterator[Connection]:
    trust = ssl.create_default_context(cadata=server.identity.authority)
    host, port = server.url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=trust)
    http = h11.Connection(h11.CLIENT)
    fields = {"host": host, "authorization": f"Bearer {token or server.identity.token}", **headers}
    writer.write(http.send(h11.Request(method=method, target=target, headers=list(fields.items()))) or b"")
    writer.write(http.send(h11.EndOfMessage()) or b"")
    head: Any = None
    body = b""
    try:
        async with asyncio.timeout(10):
            while True:
                event: Any = http.next_event()
                if event is h11.NEED_DATA:
                    http.receive_data(await reader.read(65536))
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                    break
                else:
                    head = event
                    if isinstance(event, h11.InformationalResponse):
                        break
        yield Connection(head, body, SocketDuplex(reader, writer, http.trailing_data[0]))
    finally:
        writer.transport.abort()


@asynccontextmanager
async def websocket(server: Served, query: str, protocol: str, of: str = "exec") -> AsyncIterator[WebSocket]:
    headers = {**WEBSOCKET, **({"sec-websocket-protocol": protocol} if protocol else {})}
    async with request(server, f"{PATH}/{of}?{query}", headers) as answer:
        assert answer.code == 101, answer.body
        assert answer.headers.get("sec-websocket-protocol", "") == protocol
        yield WebSocket(answer.duplex, is_server=False)


async def messages(socket: WebSocket) -> dict[int, bytes]:
    """All bytes that the server sends, by channel."""
    found: dict[int, bytes] = {}
    channel = 0
    async with asyncio.timeout(20):
        while (piece := await socket.receive()) is not None:
            data = piece.data
            if piece.starts:
                channel, data = data[0], data[1:]
            found[channel] = found.get(channel, b"") + data
    return found


@asynccontextmanager
async def spdy(server: Served, query: str, protocol: str, of: str = "exec") -> AsyncIterator[SpdyConnection]:
    headers = {**SPDY, "x-stream-protocol-version": protocol}
    async with request(server, f"{PATH}/{of}?{query}", headers, "POST") as answer:
        assert answer.code == 101, answer.body
        assert answer.headers["x-stream-protocol-version"] == protocol
        connection = SpdyConnection(answer.duplex, is_server=False, most_streams=0)
        running = asyncio.create_task(connection.run(lambda _: False))
        yield connection
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def read_all(stream: SpdyStream) -> bytes:
    content = b""
    async with asyncio.timeout(20):
        while data := await stream.read():
            content += data
    return content


# WebSocket


async def test_a_program_has_its_streams_over_a_websocket(server: Served, programs: Programs) -> None:
    query = "command=cat&stdin=true&stdout=true&stderr=1&container=main"
    async with websocket(server, query, "v5.channel.k8s.io") as socket:
        reading = asyncio.create_task(messages(socket))
        for at in range(0, len(CONTENT), 100_000):
            await socket.send(b"\0" + CONTENT[at : at + 100_000])
        await socket.send(bytes([255, 0]))
        found = await reading
    assert (found[1], found[2]) == (CONTENT, b"end")
    assert json.loads(found[3]) == {"metadata": {}, "status": "Success"}
    assert programs.container == "main"
    assert programs.options == SessionOptions(stdin=True, stdout=True, stderr=True, command=("cat",))


async def test_an_exit_code_is_the_cause_of_a_failure(server: Served) -> None:
    async with websocket(server, "command=exit&command=42&stdout=true", "v4.channel.k8s.io") as socket:
        status = json.loads((await messages(socket))[3])
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "42"}]


async def test_a_program_that_cannot_run_is_a_status_of_the_api(server: Served) -> None:
    async with websocket(server, "command=refused&stdout=true", "v4.channel.k8s.io") as socket:
        assert json.loads((await messages(socket))[3])["message"] == "cannot be run"


@pytest.mark.parametrize("protocol", ["channel.k8s.io", ""])
async def test_old_protocols_have_text_for_a_failure_and_nothing_for_a_success(server: Served, protocol: str) -> None:
    async with websocket(server, "command=exit&command=0&stdout=true", protocol) as socket:
        assert await messages(socket) == {1: b""}
    async with websocket(server, "command=exit&command=7&stdout=true", protocol) as socket:
        assert b"exit code 7" in (await messages(socket))[3]


async def test_base64_channels_carry_binary_data(server: Served) -> None:
    async with websocket(server, "command=cat&stdin=true&stdout=true", "v4.base64.channel.k8s.io") as socket:
        await socket.send(b"0" + base64.b64encode(b"\0\xff"), is_text=True)
        assert await socket.receive() == (b"1", True, True)
        assert await socket.receive() == (b"1" + base64.b64encode(b"\0\xff"), True, True)


async def test_a_terminal_has_the_size_of_the_client_and_no_stderr(server: Served, programs: Programs) -> None:
    query = "command=size&stdin=true&stdout=true&stderr=true&tty=true"
    async with websocket(server, query, "v4.channel.k8s.io") as socket:
        for text in (b'\4{"Width":1}', b"\4nonsense", b'\4{"Width":-1,"Height":3}', b'\4{"Width":80,"Height":24}'):
            await socket.send(text)
        assert (await messages(socket))[1] == b"80x24"
    assert not programs.options.stderr


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v5.channel.k8s.io"])
async def test_only_the_fifth_protocol_closes_stdin(server: Served, programs: Programs, protocol: str) -> None:
    async with websocket(server, "command=cat&stdin=true&stdout=true", protocol) as socket:
        await socket.send(bytes([255, 0]))
        await socket.send(b"\0late")
        if protocol.startswith("v5"):
            assert (await messages(socket))[1] == b""
        else:
            assert await socket.receive() == (b"\1", True, True)
            assert await socket.receive() == (b"\1late", True, True)


async def test_attach_sends_the_output(server: Served) -> None:
    async with websocket(server, "stdout=true", "v5.channel.k8s.io", "attach") as socket:
        found = await messages(socket)
    assert found[1] == b"one line\n"
    assert json.loads(found[3])["status"] == "Success"


# SPDY


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"])
async def test_a_program_has_its_streams_over_spdy(server: Served, protocol: str) -> None:
    async with spdy(server, "command=cat&stdin=true&stdout=true&stderr=true", protocol) as connection:
        kinds = ("error", "stdin", "stdout", "stderr")
        error, stdin, stdout, stderr = [await connection.open({"streamtype": kind}) for kind in kinds]
        readings = [asyncio.create_task(read_all(stream)) for stream in (error, stdout, stderr)]
        await stdin.write(CONTENT)
        stdin.close()
        await connection.drain()
        status, output, errors = await asyncio.gather(*readings)
    assert (output, errors) == (CONTENT, b"end")
    assert status == (b'{"metadata":{},"status":"Success"}' if protocol.startswith("v4") else b"")


async def test_spdy_carries_the_size_of_a_terminal(server: Served) -> None:
    async with spdy(server, "command=size&stdout=true&tty=true", "v4.channel.k8s.io") as connection:
        _, stdout, resize = [await connection.open({"streamtype": kind}) for kind in ("error", "stdout", "resize")]
        await resize.write(b'{"Width":100,"Hei')
        await resize.write(b'ght":30}\n')
        assert await read_all(stdout) == b"100x30"


async def test_spdy_streams_that_the_query_does_not_name_are_refused(server: Served) -> None:
    async with spdy(server, "command=cat&stdout=true", "v4.channel.k8s.io") as connection:
        await connection.open({"streamtype": "error"})
        for kind in ("stdin", "error", "nonsense"):
            with pytest.raises(StreamReset):
                await connection.open({"streamtype": kind})


# Port-forward


async def forward(connection: SpdyConnection, port: int, content: bytes, request: str = "0") -> tuple[bytes, bytes]:
    """The answer of a port to some bytes, and the error."""
    headers = {"port": str(port), "requestid": request}
    error = await connection.open({**headers, "streamtype": "error"})
    error.close()
    data = await connection.open({**headers, "streamtype": "data"})
    readings = asyncio.gather(read_all(data), read_all(error))
    await data.write(content)
    data.close()
    await connection.drain()
    answer, failure = await readings
    return answer, failure


async def test_spdy_forwards_connections_to_ports(server: Served) -> None:
    async with spdy(server, "", "portforward.k8s.io", "portforward") as connection:
        answers = await asyncio.gather(
            *(forward(connection, 80, CONTENT[:200_000] + bytes([n]), str(n)) for n in range(5))
        )
        assert answers == [(CONTENT[:200_000] + bytes([n]), b"") for n in range(5)]
        assert await forward(connection, 9, b"") == (b"", b"cannot connect to port 9 of the pod: nothing listens there")
        for headers in (
            {"streamtype": "data", "port": "0"},
            {"streamtype": "data", "port": "65536"},
            {"streamtype": "data"},
            {"streamtype": "other", "port": "80"},
        ):
            with pytest.raises(StreamReset):
                await connection.open(headers)


async def test_a_websocket_tunnels_spdy(server: Served) -> None:
    headers = {**WEBSOCKET, "sec-websocket-protocol": "SPDY/3.1+portforward.k8s.io"}
    async with request(server, f"{PATH}/portforward", headers) as answer:
        assert answer.headers["sec-websocket-protocol"] == "SPDY/3.1+portforward.k8s.io"
        tunnel = Tunnel(WebSocket(answer.duplex, is_server=False), answer.duplex)
        connection = SpdyConnection(tunnel, is_server=False, most_streams=0)
        running = asyncio.create_task(connection.run(lambda _: False))
        assert await forward(connection, 80, CONTENT) == (CONTENT, b"")
        running.cancel()


async def test_channels_forward_the_ports_of_the_query(server: Served) -> None:
    async with websocket(server, "ports=80&ports=9", "v4.channel.k8s.io", "portforward") as socket:
        await socket.send(b"\0hello")
        found: dict[int, bytes] = {}
        while found.get(0) != struct.pack("<H", 80) + b"hello" or len(found.get(3, b"")) < 3:
            piece = await asyncio.wait_for(socket.receive(), 5)
            assert piece is not None
            found[piece.data[0]] = found.get(piece.data[0], b"") + piece.data[1:]
    assert found[2] == struct.pack("<H", 9)
    assert found[3] == struct.pack("<H", 9) + b"cannot connect to port 9 of the pod: nothing listens there"


# Refusals


@pytest.mark.parametrize(
    ("target", "headers", "message"),
    [
        ("exec?command=cat&stdout=true", {}, "needs the headers of WebSocket or SPDY/3.1"),
        ("exec?command=cat&stdout=true", {"connection": "Upgrade", "upgrade": "h2c"}, "needs the headers"),
        ("exec?stdout=true", WEBSOCKET, "at least one command"),
        ("exec?command=cat", WEBSOCKET, "at least 1 of stdin, stdout, stderr"),
        ("exec?command=cat&stdout=yes", WEBSOCKET, "must be true or false"),
        ("exec?command=cat&stdout=true&container=other", WEBSOCKET, "container other is not valid for pod a"),
        ("exec?command=cat&stdout=true", {**WEBSOCKET, "sec-websocket-version": "8"}, "must be 13"),
        ("exec?command=cat&stdout=true", {**WEBSOCKET, "sec-websocket-key": "abc"}, "16 bytes"),
        ("exec?command=cat&stdout=true", {**WEBSOCKET, "sec-websocket-protocol": "v9, x"}, "client supports [v9 x]"),
        ("exec?command=cat&stdout=true", {**SPDY, "x-stream-protocol-version": "v9"}, "client supports [v9]"),
        ("attach?stdin=true&stdout=true", WEBSOCKET, "container main has no stdin"),
        ("portforward", {**WEBSOCKET, "sec-websocket-protocol": "v4.channel.k8s.io"}, "name 1 to 32 ports"),
        ("portforward?ports=0", {**WEBSOCKET, "sec-websocket-protocol": "v4.channel.k8s.io"}, "a port from 1 to 65535"),
    ],
)
async def test_a_wrong_request_is_refused_before_the_switch(
    server: Served, target: str, headers: dict[str, str], message: str
) -> None:
    async with request(server, f"{PATH}/{target}", headers) as answer:
        assert answer.code == 400
        assert message in json.loads(answer.body)["message"]


async def test_a_session_needs_a_pod_that_runs_and_the_token(server: Served, programs: Programs) -> None:
    query = "command=cat&stdout=true"
    async with request(server, f"{PATH}b/exec?{query}", WEBSOCKET) as answer:
        assert (answer.code, json.loads(answer.body)["reason"]) == (404, "NotFound")
    async with request(server, f"{PATH}/exec?{query}", WEBSOCKET, token="wrong") as answer:
        assert answer.code == 401
    programs.refusal = "the pod is on standby"
    for target in (f"exec?{query}", "attach?stdout=true", "portforward"):
        async with request(server, f"{PATH}/{target}", SPDY) as answer:
            assert (answer.code, json.loads(answer.body)["message"]) == (400, "the pod is on standby")
    async with request(server, f"{PATH}/exec?{query}", WEBSOCKET, "DELETE") as answer:
        assert answer.code == 405


async def test_sessions_are_limited_for_each_pod(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_response, "MOST_OF_POD", 1)
    query = "command=wait&stdout=true"
    async with websocket(server, query, "v5.channel.k8s.io") as socket:
        await socket.receive()
        async with request(server, f"{PATH}/exec?{query}", WEBSOCKET) as answer:
            assert (answer.code, json.loads(answer.body)["reason"]) == (429, "TooManyRequests")

    async def has_room() -> bool:
        async with request(server, f"{PATH}/exec?{query}", WEBSOCKET) as answer:
            return answer.code == 101

    await eventually(has_room, "the session has ended")


# Ends


async def test_a_program_ends_with_its_client(server: Served, programs: Programs) -> None:
    for switched in (websocket, spdy):
        programs.started.clear()
        programs.cancelled.clear()
        async with switched(server, "command=wait&stdout=true", "v4.channel.k8s.io") as connection:
            if isinstance(connection, SpdyConnection):
                for kind in ("error", "stdout"):
                    await connection.open({"streamtype": kind})
            await asyncio.wait_for(programs.started.wait(), 5)
        await asyncio.wait_for(programs.cancelled.wait(), 5)


async def test_a_program_waits_for_a_client_that_does_not_read_and_ends_with_it(
    server: Served, programs: Programs
) -> None:
    async with websocket(server, "command=flood&stdout=true", "v4.channel.k8s.io"):
        await asyncio.wait_for(programs.started.wait(), 5)
    await asyncio.wait_for(programs.cancelled.wait(), 5)


async def test_a_client_that_leaves_behind_unread_input_is_noticed(
    server: Served, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read from it, so only the server's pings find out."""
    monkeypatch.setattr(session_response, "_PING_SECONDS", 0.05)
    async with websocket(server, "command=wait&stdin=true&stdout=true", "v4.channel.k8s.io") as socket:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                while True:
                    await socket.send(b"\0" + bytes(100_000))
    await asyncio.wait_for(programs.cancelled.wait(), 10)


async def test_an_idle_session_ends(server: Served, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_response, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(session_response, "_PING_SECONDS", 0.05)
    async with websocket(server, "command=wait&stdout=true", "v4.channel.k8s.io") as socket:
        await messages(socket)
    assert programs.cancelled.is_set()


async def test_a_server_that_stops_ends_its_sessions(server: Served, programs: Programs) -> None:
    async with websocket(server, "command=wait&stdout=true", "v4.channel.k8s.io") as socket:
        await asyncio.wait_for(programs.started.wait(), 5)
        server.stop()
        await messages(socket)
    assert programs.cancelled.is_set()


async def test_a_fault_of_a_session_ends_only_it(server: Served) -> None:
    async with websocket(server, "command=broken&stdout=true", "v4.channel.k8s.io") as socket:
        assert await messages(socket) == {1: b""}
    async with websocket(server, "command=exit&command=0&stdout=true", "v4.channel.k8s.io") as socket:
        assert 3 in await messages(socket)


async def test_malformed_bytes_end_a_session(server: Served, programs: Programs) -> None:
    chance = random.Random(5)
    for headers in (WEBSOCKET, SPDY):
        for _ in range(10):
            async with request(server, f"{PATH}/exec?command=wait&stdout=true&stdin=true", headers) as answer:
                assert answer.code == 101
                answer.duplex.write(chance.randbytes(300) + b"\xff" * 300)
                async with asyncio.timeout(10):
                    while await answer.duplex.read():
                        pass
