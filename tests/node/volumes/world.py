# SPDX-License-Identifier: Apache-2.0
"""Volumes of a node over a real API in process, with real folders."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.apiserver import cluster_of, opened
from harness.node import context_of
from harness.waiting import PATIENCE
from tidegate.apiserver.access.tokens import ServiceAccountTokens
from tidegate.client.cluster import Cluster
from tidegate.kit import mounts
from tidegate.kit.authority import Authority
from tidegate.kit.clock import RealClock
from tidegate.model.admission import Admission
from tidegate.model.config import Configs
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import CONFIG_MAP, EVENT, POD, SECRET
from tidegate.model.objects import Key, Object
from tidegate.node.downward import NodeFacts
from tidegate.node.volumes.evictions import Evictions
from tidegate.node.volumes.provisioner import Provisioner
from tidegate.node.volumes.volumes import Volumes
from tidegate.settings import Settings

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


class VolumesWorld:
    """The volumes, and the objects that they show."""

    def __init__(self, cluster: Cluster, volumes: Volumes, folder: Path, evictions: Evictions) -> None:
        self.cluster = cluster
        self.volumes = volumes
        self.folder = folder
        self.evictions = evictions

    async def config_map(self, name: str = "config", **data: str) -> Object:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _named(name), "data": data}
        return await self.cluster.create(CONFIG_MAP, body)

    async def secret(self, name: str = "secret", **data: str) -> Object:
        encoded = {entry: base64.b64encode(value.encode()).decode() for entry, value in data.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": _named(name), "type": "Opaque", "data": encoded}
        return await self.cluster.create(SECRET, body)

    async def change(self, name: str = "config", **data: str | None) -> None:
        await self.cluster.patch(CONFIG_MAP, Key("default", name), {"data": data})

    async def pod(self, *volumes: Object, name: str = "app", **spec: Any) -> Object:
        """A stored Pod with these volumes."""
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**_named(name), "labels": {"app": name}, "annotations": {"note": 'a "b"'}},
            "spec": {"containers": [{"name": "main", "image": "tidegate.dev/host"}], "volumes": list(volumes), **spec},
        }
        return await self.cluster.create(POD, body)

    async def set_up(self, *volumes: Object, **spec: Any) -> dict[str, Path]:
        return dict(await self.volumes.set_up(await self.pod(*volumes, **spec)))

    async def events(self) -> list[str]:
        listing = await self.cluster.list(EVENT, "default")
        return [f"{event['reason']}: {event['message']}" for event in listing.items]


async def until(holds: Callable[[], object]) -> None:
    """Return once it holds."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def volumes_world(folder: Path) -> AsyncIterator[VolumesWorld]:
    async with opened(folder, admit=Admission(BUILT_IN_SCHEME, Configs).admit) as api, asyncio.TaskGroup() as group:
        cluster = cluster_of(api, "system:node")
        context = context_of(cluster, RealClock())
        informers, settings = context.informers, Settings(folder)
        Authority(settings.pki, context.clock.wall())
        tokens = ServiceAccountTokens(api, settings.pki, context.clock)
        facts, evictions = NodeFacts("here", {"cpu": "2", "memory": "4Gi"}), Evictions(context)
        made = Volumes(context, settings, facts, tokens.issue, evictions)
        provisioner = Provisioner(context, settings.volumes)
        running = [*(informer.run for informer in informers), context.recorder.run, made.run, provisioner.run]
        tasks = [group.create_task(run()) for run in running]
        try:
            await informers.synced()
            yield VolumesWorld(cluster, made, folder / "volumes", evictions)
        finally:
            for task in tasks:
                task.cancel()
            mounts.unmount_below(folder)


def _named(name: str) -> Object:
    return {"name": name, "namespace": "default"}
