# SPDX-License-Identifier: Apache-2.0
"""The access log: its fields, and its rotation."""

import asyncio
import json
from pathlib import Path
from typing import Any

from harness import make
from harness.gate import instances
from harness.gateway import World, world
from harness.waiting import eventually
from tidegate.gateway.access_log import AccessLog
from tidegate.kit.clock import VirtualClock


async def lines(gateway: World, count: int) -> list[Any]:
    """All lines, once there are `count` of them: Envoy writes them with a delay of a second."""
    path = gateway.folder / "access.log"
    await eventually(lambda: len(path.read_text().splitlines()) >= count)
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_line_names_the_instance_and_how_long_the_request_waited(tmp_path: Path) -> None:
    revision = make.revision("hello-00001", spec=make.template(containerConcurrency=1)["spec"])
    async with world(tmp_path) as gateway, gateway.envoy(), instances(1) as (app,):
        await gateway.apply(revision, make.ingress("hello"))
        await gateway.run_at(revision, app)
        await gateway.ready("hello")
        work = "/work/0.1"
        await asyncio.gather(*[gateway.get("hello.example.com", work) for _ in range(2)])
        await gateway.get("nobody.example.com")

        first, second, unknown = await lines(gateway, 3)

    assert [first["path"], first["host"], first["status"]] == [work, "hello.example.com", 200]
    assert [first["revision"], first["instance"]] == ["default/hello-00001", app.address]
    assert first["upstreamMicroseconds"] >= 100_000
    assert second["queueMicroseconds"] >= 50_000 > first["queueMicroseconds"]
    assert [unknown["status"], unknown["revision"], unknown["queueMicroseconds"]] == [404, None, None]


async def test_a_long_log_is_renamed_and_envoy_begins_a_new_one(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with world(tmp_path) as gateway, gateway.envoy() as envoy:
        path = gateway.folder / "access.log"
        await gateway.get("one.example.com")
        await lines(gateway, 1)
        log = AccessLog({path: envoy.folder / "admin.sock"}, clock, most_bytes=10)
        rotating = asyncio.create_task(log.run())

        await clock.advance(5)

        async def is_reopened() -> bool:
            await gateway.get("two.example.com")
            return path.exists() and bool(path.read_text())

        await eventually(is_reopened)

        assert "one.example.com" in path.with_name("access.log.1").read_text()
        assert {line["host"] for line in await lines(gateway, 1)} == {"two.example.com"}
        rotating.cancel()


async def test_a_long_log_is_renamed_without_an_envoy_too(tmp_path: Path) -> None:
    clock = VirtualClock()
    (tmp_path / "access.log").write_text("a line\n")
    rotating = asyncio.create_task(AccessLog({tmp_path / "access.log": tmp_path / "none"}, clock, most_bytes=1).run())

    await clock.advance(5)

    assert (tmp_path / "access.log.1").read_text() == "a line\n"
    assert not rotating.done()
    rotating.cancel()
