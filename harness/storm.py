# SPDX-License-Identifier: Apache-2.0
"""A storm of requests against the gate: clients of every kind, endpoints that change or are dead, instances that cut
connections, and timeouts.

`test_gate_storm.py` runs a short storm, `bench/soak.py` a long one. An instance must answer every request whose client
waits, unless the instance cuts the request off (503) or takes too long (504). No instance may ever run more requests
than its revision's container concurrency.
"""

import asyncio
import itertools
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from harness.gate import Client, Gateway, Instance

SWITCHING_PROTOCOLS = 101
CHURN = 0.05  # seconds between changes of endpoints
INSTANCES = 4  # of each revision
LIMITS = {"one": 1, "two": 2, "three": 3}  # container concurrency by revision


@dataclass
class Storm:
    """One storm: its requests and their outcomes."""

    gateway: Gateway
    apps: dict[str, list[Instance]]
    dead: list[str]  # addresses without a listener
    requests: int  # the number to send
    chance: random.Random
    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)  # by kind of client and status, or "aborted"
    failures: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.sent >= self.requests

    @property
    def excess(self) -> dict[str, int]:
        """The instances that ran too many requests at a time, and how many."""
        return {
            f"{name} at {app.address}": app.most
            for name, limit in LIMITS.items()
            for app in self.apps[name]
            if app.most > limit
        }

    async def rage(self, clients: int = 12) -> None:
        """Send all requests, and wait until they have ended."""
        churning = asyncio.create_task(self.churn())
        async with asyncio.TaskGroup() as tasks:
            for name in self.apps:
                for _ in range(clients):
                    tasks.create_task(self.keep_alive(name))
                tasks.create_task(self.multiplex(name))
                tasks.create_task(self.upgrade(name))
        churning.cancel()
        await asyncio.gather(churning, return_exceptions=True)

    async def churn(self) -> None:
        while True:
            for name in self.apps:
                some = self.chance.sample(self.apps[name], self.chance.randint(0, INSTANCES))
                dead = self.chance.sample(self.dead, self.chance.choice([0, 0, 1]))
                self.gateway.set_hosts(name, [*some, *dead])
            await asyncio.sleep(CHURN)

    async def keep_alive(self, name: str) -> None:
        """HTTP/1.1 connections, each with one request after the other. A few requests are cut off."""
        while not self.over:
            async with Client(self.gateway.port, name) as client:
                while not self.over and await self.exchange(client):
                    pass

    async def exchange(self, client: Client) -> bool:
        """One request. False if its connection must not be used again."""
        self.sent += 1
        body = self.chance.randbytes(self.chance.choice([100, 1000, 50_000])) if self.chance.random() < 0.3 else None
        path = self.path()
        client.send(path, body)
        if self.chance.random() < 0.05:
            await asyncio.sleep(self.chance.random() * 0.02)
            client.abort()
            self.outcomes["aborted"] += 1
            return False
        try:
            answer = await client.answer()
        except (OSError, asyncio.IncompleteReadError) as error:
            self.note("HTTP/1.1", repr(error))
            return False
        self.note("HTTP/1.1", str(answer.status), answer.body, path)
        return answer.headers.get("connection") != "close"

    def path(self) -> str:
        work = self.chance.random() * 0.004
        usual = ["/", f"/work/{work:.4f}", f"/work/{work:.4f}", f"/stream/{work:.4f}"]
        return self.chance.choice([*usual * 10, f"/late/{work * 3:.4f}", f"/late/{work * 3:.4f}", "/reset"])

    async def multiplex(self, name: str) -> None:
        """HTTP/2 connections with several simultaneous streams. Sometimes all of them are cancelled."""
        while not self.over:
            async with httpx.AsyncClient(http1=False, http2=True, timeout=60, headers={"host": name}) as client:
                while not self.over and await self.streams(client):
                    pass

    async def streams(self, client: httpx.AsyncClient) -> bool:
        """Five streams. False if their connection must not be used again."""
        self.sent += 5
        url = f"http://127.0.0.1:{self.gateway.port}"
        paths = [self.path() for _ in range(5)]
        asking = [asyncio.create_task(client.get(url + path)) for path in paths]
        if self.chance.random() < 0.05:
            await asyncio.sleep(self.chance.random() * 0.02)
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            self.outcomes["aborted"] += 5
            return False  # httpx miscounts the streams of a connection after it cancels some
        for path, answer in zip(paths, await asyncio.gather(*asking, return_exceptions=True), strict=True):
            if isinstance(answer, BaseException):
                self.note("HTTP/2", repr(answer))
            else:
                self.note("HTTP/2", str(answer.status_code), answer.text, path)
        return True

    async def upgrade(self, name: str) -> None:
        """Use WebSockets, one after the other."""
        while not self.over:
            self.sent += 1
            async with Client(self.gateway.port, name) as client:
                client.send("/", headers="connection: upgrade\r\nupgrade: websocket\r\n")
                try:
                    answer = await client.answer()
                    if answer.status == SWITCHING_PROTOCOLS:
                        client.writer.write(b"ping")
                        await client.reader.readexactly(4)
                except (OSError, asyncio.IncompleteReadError) as error:
                    self.note("WebSocket", repr(error))
                else:
                    self.note("WebSocket", str(answer.status), answer.body)

    def note(self, kind: str, outcome: str, body: str = "", path: str = "") -> None:
        what = path.split("/", 2)[1] if path else ""
        self.outcomes[" ".join(filter(None, (kind, what, outcome)))] += 1
        if outcome not in {"200", "101"} and (what, outcome) not in {("reset", "503"), ("late", "504")}:
            self.failures.append(f"{kind} {path} {outcome} {body}")

    async def settle(self) -> None:
        """Wait until the gate reports that no request runs or waits."""
        for name in self.apps:
            await self.gateway.reports.until_of(name, lambda report: report["inFlight"] + report["queued"] == 0)


@asynccontextmanager
async def storm(folder: Path, requests: int, seed: int, *, workers: int = 2) -> AsyncIterator[Storm]:
    """Envoy, the instances and the dead addresses of a storm. `rage` begins it."""
    revisions = {name: {"containerConcurrency": limit} for name, limit in LIMITS.items()}
    with socket.socket() as one, socket.socket() as other:
        for closed in (one, other):
            closed.bind(("127.0.0.1", 0))
        dead = [f"127.0.0.1:{closed.getsockname()[1]}" for closed in (one, other)]
        async with Gateway(folder, revisions, workers=workers).running() as gateway:
            apps = {name: [await Instance().start() for _ in range(INSTANCES)] for name in revisions}
            try:
                yield Storm(gateway, apps, dead, requests, random.Random(seed))
            finally:
                for app in itertools.chain(*apps.values()):
                    await app.stop()
