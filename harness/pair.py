# SPDX-License-Identifier: Apache-2.0
"""Two real Envoys on one port that share the instances of a revision, and clients of each, for the tests and the
bench."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import make
from harness.gate import Client, Instance, instances
from harness.gateway import PATIENCE, Envoy, World, world

HOST = "hello.example.com"
REVISION = "hello-00001"


def owner(port: int, envoys: list[Envoy]) -> Envoy:
    """The Envoy that has the connection of the client on that port."""
    inodes = {
        fields[9]
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if int(fields[2].rpartition(":")[2], 16) == port
    }
    for envoy in envoys:
        assert envoy.process is not None
        for file in Path(f"/proc/{envoy.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if file.readlink().name.removeprefix("socket:[").removesuffix("]") in inodes:
                    return envoy
    raise AssertionError(f"no Envoy has the connection from port {port}")


@dataclass
class Pair:
    """The two Envoys, the instances, and the number of answers by status."""

    world: World
    first: Envoy
    second: Envoy
    apps: list[Instance]
    _stack: AsyncExitStack
    outcomes: Counter[str] = field(default_factory=Counter)

    async def client(self, envoy: Envoy) -> Client:
        """A connection to that Envoy. The kernel chooses the Envoy, so this connects until it chooses the right one."""
        while True:
            client = await self._stack.enter_async_context(self.world.client(HOST))
            await client.get("/")  # so that a worker has accepted it
            if owner(client.writer.get_extra_info("sockname")[1], self.world.envoys) is envoy:
                return client
            client.abort()

    async def ask(self, client: Client, path: str) -> None:
        async with asyncio.timeout(PATIENCE):
            self.outcomes[str((await client.get(path)).status)] += 1

    @property
    def most(self) -> int:
        return max(app.most for app in self.apps)


@asynccontextmanager
async def pair(folder: Path, concurrency: int, count: int) -> AsyncIterator[Pair]:
    revision = make.revision(REVISION, spec=make.template(containerConcurrency=concurrency)["spec"])
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(world(folder))
        one, two = [await stack.enter_async_context(made.envoy(name)) for name in ("one", "two")]
        apps = await stack.enter_async_context(instances(count))
        await made.apply(revision, make.ingress("hello"))
        for number, app in enumerate(apps):
            await made.run_at(revision, app, f"aaaa{number}")
        await made.ready("hello")
        yield Pair(made, one, two, apps, stack)
