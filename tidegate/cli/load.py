# SPDX-License-Identifier: Apache-2.0
"""A load of HTTP/1.1 requests over kept connections.

In: an endpoint, the number of requests, and how many run at a time. Out: each result as it arrives. Called by:
`tidegate demo`. A general client would use more time for a request than the gateway does, and so measure itself.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

PATIENCE = 60.0
"""Seconds after which a request counts as failed."""

_OK = 200


class LoadResult(NamedTuple):
    """The result of one request. `status`: 0 if the connection failed."""

    status: int
    body: str
    seconds: float


@dataclass
class LoadResults:
    """The results of all requests."""

    all: list[LoadResult] = field(default_factory=list)

    @property
    def failed(self) -> list[LoadResult]:
        return [answer for answer in self.all if answer.status != _OK]

    @property
    def shares(self) -> Counter[str]:
        """The number of successful requests by revision. The last word of a response is its revision."""
        return Counter(answer.body.split()[-1] for answer in self.all if answer.status == _OK)

    def percentile(self, percent: int) -> float:
        """The latency in milliseconds that `percent` of the requests did not exceed."""
        return statistics.quantiles([answer.seconds for answer in self.all], n=100)[percent - 1] * 1000


class LoadConnection:
    """One kept connection to a gateway. It is opened for the first request, and again after a failure."""

    def __init__(self, address: tuple[str, int], host: str) -> None:
        self._address = address
        self._host = host
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> LoadResult:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                status, body = await self._exchange(path)
        except (OSError, EOFError) as error:  # a timeout is an OSError too
            self.close()
            status, body = 0, str(error) or type(error).__name__
        return LoadResult(status, body, time.perf_counter() - began)

    async def _exchange(self, path: str) -> tuple[int, str]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {self._host}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split(" ")[1]), body.decode(errors="replace")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class LoadTarget(NamedTuple):
    """Where to send requests: the address, the Host header and the path."""

    address: tuple[str, int]
    host: str
    path: str


async def send(endpoint: LoadTarget, *, count: int, at_once: int, on_result: Callable[[LoadResult], None]) -> None:
    """Send `count` requests, `at_once` of them at a time."""
    left = iter(range(count))

    async def sender() -> None:
        connection = LoadConnection(endpoint.address, endpoint.host)
        for _ in left:
            on_result(await connection.get(endpoint.path))
        connection.close()

    async with asyncio.TaskGroup() as group:
        for number in range(at_once):
            group.create_task(sender(), name=f"sender {number}")
