# SPDX-License-Identifier: Apache-2.0
"""From objects to requests: what is written to the API, and whom a real Envoy then answers with."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import make
from tests.gateway.gate import instances
from tests.gateway.world import World, world
from tidegate.model import kinds

ONE, TWO = make.revision("hello-00001"), make.revision("hello-00002", generation=2)
HOST = "hello.example.com"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made, made.envoy():
        yield made


async def test_a_host_leads_to_its_revision_with_any_port_and_case_and_others_to_none(gateway: World) -> None:
    async with instances(1) as (app,):
        await gateway.apply(ONE, make.ingress())
        await gateway.run_at(ONE, app)
        await gateway.ready("hello")

        for host in (HOST, f"{HOST}:8080", f"{HOST}."):
            assert (await gateway.get(host)).body == app.address
        for host in ("other.example.com", "hello.example.org", "example.com", "127.0.0.1"):
            assert (await gateway.get(host)).status == 404
