# SPDX-License-Identifier: Apache-2.0
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.apiserver import cluster_of, opened
from tidegate.apiserver.registry.api import Api
from tidegate.client.informer import Informer
from tidegate.model import kinds
from tidegate.model.indexes import by_label
from tidegate.model.objects import Key, Object
from tidegate.store.store import HISTORY, QUEUE

HELLO = Key("default", "hello")


def config_map(name: str = "hello", data: dict[str, str] | None = None, **labels: str) -> Object:
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {}}


class World:
    """An API, an informer that watches it, and the changes that its subscriber received: (old data, new data)."""

    def __init__(self, api: Api, informer: Informer) -> None:
        self.cluster = cluster_of(api, "tests")
        self.api = api
        self.informer = informer
        self.changes: list[tuple[object, object]] = []
        self._changed = asyncio.Event()
        informer.subscribe(self._handle)

    def _handle(self, old: Object | None, new: Object | None) -> None:
        self.changes.append((old and old["data"], new and new["data"]))
        self._changed.set()

    async def until_changes(self, count: int) -> None:
        while len(self.changes) < count:
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def world(folder: Path, *, history: int = HISTORY, queue: int = QUEUE) -> AsyncIterator[World]:
    async with opened(folder, history=history, queue=queue) as api:
        informer = Informer(cluster_of(api, "tests"), kinds.CONFIG_MAP, indexes={"app": by_label("app")})
        running = asyncio.create_task(informer.run())
        await informer.synced()
        try:
            yield World(api, informer)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_handler_is_called_for_additions_changes_and_deletions(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.cluster.create(kinds.CONFIG_MAP, config_map(data={"a": "1"}))
        await here.cluster.patch(kinds.CONFIG_MAP, HELLO, {"data": {"a": "2"}})
        await here.cluster.delete(kinds.CONFIG_MAP, HELLO)
        await here.until_changes(3)

        assert here.changes == [(None, {"a": "1"}), ({"a": "1"}, {"a": "2"}), ({"a": "2"}, None)]
        assert here.informer.get(HELLO) is None


async def test_a_late_handler_is_called_for_existing_objects(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.cluster.create(kinds.CONFIG_MAP, config_map(data={"a": "1"}))
        await here.until_changes(1)
        received: list[object] = []

        here.informer.subscribe(lambda old, new: received.append((old, new and new["data"])))

        assert received == [(None, {"a": "1"})]


async def test_an_index_follows_its_label(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.cluster.create(kinds.CONFIG_MAP, config_map(app="one"))
        await here.until_changes(1)
        assert [obj["metadata"]["name"] for obj in here.informer.indexed("app", "default/one")] == ["hello"]

        await here.cluster.patch(kinds.CONFIG_MAP, HELLO, {"metadata": {"labels": {"app": "two"}}})
        await here.until_changes(2)

        assert here.informer.indexed("app", "default/one") == []
        assert len(here.informer.indexed("app", "default/two")) == 1


async def test_a_learned_write_is_reported_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.informer.learn(await here.cluster.create(kinds.CONFIG_MAP, config_map(data={"a": "1"})))
        assert here.informer.get(HELLO) is not None
        await here.cluster.patch(kinds.CONFIG_MAP, HELLO, {"data": {"a": "2"}})
        await here.until_changes(2)

        assert here.changes == [(None, {"a": "1"}), ({"a": "1"}, {"a": "2"})]


async def test_a_watch_that_fell_behind_lists_again_and_misses_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, history=2, queue=2) as here:
        names = [f"map-{number}" for number in range(20)]
        await asyncio.gather(*[here.cluster.create(kinds.CONFIG_MAP, config_map(name)) for name in names])
        await here.until_changes(20)

        assert sorted(obj["metadata"]["name"] for obj in here.informer.list()) == sorted(names)


async def test_a_failing_handler_hides_no_change_from_others_and_gets_it_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        informer = Informer(cluster_of(api, "tests"), kinds.CONFIG_MAP)
        received: dict[str, list[str]] = {"first": [], "last": []}
        flaws = ["hello"]

        def name(new: Object | None) -> str:
            return str(new and new["metadata"]["name"])

        def flawed(old: Object | None, new: Object | None) -> None:
            if flaws and name(new) == flaws[0]:
                flaws.clear()
                raise ValueError("a flaw")
            received["first"].append(name(new))

        informer.subscribe(flawed)
        informer.subscribe(lambda old, new: received["last"].append(name(new)))
        await cluster_of(api, "tests").create(kinds.CONFIG_MAP, config_map())
        with pytest.raises(ExceptionGroup, match="handlers of"):
            await informer.run()
        assert received == {"first": [], "last": ["hello"]}

        again = asyncio.create_task(informer.run())
        await informer.synced()
        assert received == {"first": ["hello"], "last": ["hello", "hello"]}
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
