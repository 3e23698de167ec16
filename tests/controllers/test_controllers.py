# SPDX-License-Identifier: Apache-2.0
import asyncio

import pytest

from harness import make
from tidegate.client.configs import LiveConfigs
from tidegate.client.context import Context
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.client.memory import MemoryCluster
from tidegate.controllers.controllers import Callbacks, Controllers
from tidegate.kit.clock import RealClock
from tidegate.model import kinds
from tidegate.model.kinds import Kind

TURNS = 200  # of the event loop: many more than a reconcile takes


@pytest.mark.parametrize("late", [kinds.CONFIGURATION, kinds.RESOURCE_QUOTA, kinds.SECRET], ids=str)
async def test_controllers_write_nothing_until_every_informer_is_synced(late: Kind) -> None:
    cluster, clock = MemoryCluster(), RealClock()
    cluster.put(kinds.SERVICE, make.service())
    informers = Informers(cluster, clock)
    configs = LiveConfigs(informers.config_maps, domain="example.com")
    context = Context(cluster, informers, configs, Recorder(cluster, "tests", clock), clock)
    controllers = Controllers(context, Callbacks(lambda revision: {}, lambda listener: None))
    early = [informer for informer in informers if informer.kind != late]
    tasks = [asyncio.create_task(run()) for run in (controllers.run, *(informer.run for informer in early))]
    try:
        for informer in early:
            await informer.synced()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        assert list(cluster.writes) == []

        tasks.append(asyncio.create_task(informers.of(late).run()))
        await asyncio.wait_for(cluster.committed(), 10)

        assert cluster.writes[0].kind == kinds.CONFIGURATION
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
