# SPDX-License-Identifier: Apache-2.0
"""The load client: it sends the requested number of requests, keeps its connections and counts failures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tidegate.cli.load import LoadConnection, LoadResult, LoadResults, LoadTarget, send


class App:
    """Responds with its host and path; `/drop` closes the connection without a response, `/last` after its response."""

    def __init__(self) -> None:
        self.connections = 0
        self.over = asyncio.Event()
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open += 1
        self.over.clear()
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                path, host = head.split(" ")[1], head.split("host: ")[1].split("\r\n")[0]
                if path == "/drop":
                    break
                body = f"{host} says {path}".encode()
                last = b"Connection: close\r\n" if path == "/last" else b""
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (len(body), last) + body)
                if last:
                    break
        except asyncio.IncompleteReadError:
            pass
        writer.close()
        self._open -= 1
        if not self._open:
            self.over.set()


@asynccontextmanager
async def listening(app: App) -> AsyncIterator[tuple[str, int]]:
    server = await asyncio.start_server(app.serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()
        if app.connections:
            await app.over.wait()


async def test_all_requests_are_sent_over_the_requested_number_of_connections() -> None:
    app, results = App(), LoadResults()

    async with listening(app) as address:
        await send(LoadTarget(address, "hello.test", "/a"), count=100, at_once=7, on_result=results.all.append)

    assert len(results.all) == 100
    assert {result.body for result in results.all} == {"hello.test says /a"}
    assert app.connections == 7


async def test_a_broken_connection_is_a_failure_and_the_next_request_opens_another() -> None:
    app = App()

    async with listening(app) as address:
        connection = LoadConnection(address, "h")
        statuses = [(await connection.get(path)).status for path in ("/a", "/drop", "/b", "/last", "/c")]
        connection.close()

    assert statuses == [200, 0, 200, 200, 200]
    assert app.connections == 3


async def test_a_missing_gateway_is_a_failure() -> None:
    async with listening(App()) as address:
        pass

    assert (await LoadConnection(address, "h").get("/")).status == 0


def test_results_are_counted_by_revision() -> None:
    answers = LoadResults(
        [LoadResult(200, "Hello from a\n", 0.01)] * 3
        + [LoadResult(200, "Hello from b\n", 0.02), LoadResult(503, "no", 1)]
    )

    assert answers.shares == {"a": 3, "b": 1}
    assert [answer.body for answer in answers.failed] == ["no"]
    assert answers.percentile(50) == 10
