# SPDX-License-Identifier: Apache-2.0
"""Requests in number: a small HTTP/1.1 client that keeps its connections, quick enough not to be what it measures.

In: an address, a host, a path, how many and how many at a time. Out: each answer as it comes. Who: `tidegate demo`.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

PATIENCE = 60.0
"""Seconds after which an answer is taken not to come."""

_OK = 200


class Answer(NamedTuple):
    """One answer. `status` 0: the connection broke."""

    status: int
    body: str
    seconds: float


@dataclass
class Answers:
    """All that came back."""

    all: list[Answer] = field(default_factory=list)

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.all if answer.status != _OK]

    @property
    def shares(self) -> Counter[str]:
        """How many good answers each revision gave: the last word of an answer names its revision."""
        return Counter(answer.body.split()[-1] for answer in self.all if answer.status == _OK)

    def percentile(self, percent: int) -> float:
        """Milliseconds that so many percent of the answers took at most."""
        return statistics.quantiles([answer.seconds for answer in self.all], n=100)[percent - 1] * 1000


class Connection:
    """One kept connection to a gateway, opened when it is first needed and again after it broke."""

    def __init__(self, address: tuple[str, int], host: str) -> None:
        self._address = address
        self._host = host
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> Answer:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                status, body = await self._exchange(path)
        except (OSError, EOFError) as error:  # a timeout is an OSError too
            self.close()
            status, body = 0, str(error) or type(error).__name__
        return Answer(status, body, time.perf_counter() - began)

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


async def send(
    address: tuple[str, int], host: str, path: str, *, count: int, at_once: int, told: Callable[[Answer], None]
) -> None:
    """Send `count` requests, `at_once` of them at any time, and tell each answer."""
    left = iter(range(count))

    async def sender() -> None:
        connection = Connection(address, host)
        for _ in left:
            told(await connection.get(path))
        connection.close()

    async with asyncio.TaskGroup() as group:
        for number in range(at_once):
            group.create_task(sender(), name=f"sender {number}")
