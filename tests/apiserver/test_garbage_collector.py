# SPDX-License-Identifier: Apache-2.0
"""Owner references at work."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver import make
from tests.apiserver.make import eventually, exists, given, owned_by
from tests.apiserver.world import opened
from tidegate.apiserver.registry.api import Api
from tidegate.kit.clock import settle
from tidegate.model import errors
from tidegate.model.kinds import CONFIG_MAP, NODE, POD
from tidegate.model.objects import Key, Object
from tidegate.model.registry.deletion import DeleteOptions, Propagation


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened(tmp_path) as api:
        yield api


async def child(api: Api, name: str, *owners: Object, blocks: bool = False, **more: Any) -> Object:
    references = [owned_by(owner, blocks=blocks) for owner in owners]
    return await given(api, CONFIG_MAP, make.config_map(name, ownerReferences=references, **more))


async def delete(api: Api, name: str, propagation: Propagation) -> bool:
    return (await api.delete(CONFIG_MAP, Key("default", name), DeleteOptions(propagation=propagation)))[1]


def all_gone(api: Api, *names: str) -> bool:
    return not any(exists(api, CONFIG_MAP, name) for name in names)


async def untouched(api: Api) -> None:
    """Time enough for the collector to do what it should not."""
    for _ in range(3):
        await settle()
        await api.store.settled()


async def test_with_its_owner_goes_all_that_it_owned(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    middle = await child(api, "middle", owner)
    await child(api, "leaf", middle)
    await given(api, CONFIG_MAP, make.config_map("other"))

    assert await delete(api, "owner", "Background")

    await eventually(lambda: all_gone(api, "middle", "leaf"))
    assert exists(api, CONFIG_MAP, "other")


async def test_foreground_an_owner_waits_for_what_blocks_it(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    await child(api, "held", owner, blocks=True, finalizers=["tidegate.dev/x"])
    await child(api, "free", owner, blocks=True)

    assert not await delete(api, "owner", "Foreground")
    await eventually(lambda: all_gone(api, "free"))
    await untouched(api)
    assert exists(api, CONFIG_MAP, "owner")
    assert "deletionTimestamp" in api.get(CONFIG_MAP, Key("default", "held"))["metadata"]

    await api.update(CONFIG_MAP, Key("default", "held"), make.config_map("held"), user=make.USER)
    await eventually(lambda: all_gone(api, "owner", "held"))


async def test_foreground_a_whole_tree_goes_from_its_leaves(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    middle = await child(api, "middle", owner, blocks=True)
    await child(api, "leaf", middle, blocks=True, finalizers=["tidegate.dev/x"])
    await delete(api, "owner", "Foreground")
    await eventually(lambda: "deletionTimestamp" in api.get(CONFIG_MAP, Key("default", "leaf"))["metadata"])
    assert exists(api, CONFIG_MAP, "middle")

    order: list[str] = []
    with api.watch(CONFIG_MAP, since=api.store.revision) as changes:
        await api.update(CONFIG_MAP, Key("default", "leaf"), make.config_map("leaf"), user=make.USER)
        await eventually(lambda: all_gone(api, "owner", "middle", "leaf"))
        order = [change.key.name for change in changes.take() if change.new is None]

    assert order == ["leaf", "middle", "owner"]


async def test_foreground_without_dependents_is_soon_over(api: Api) -> None:
    await given(api, CONFIG_MAP, make.config_map("owner"))
    await delete(api, "owner", "Foreground")

    await eventually(lambda: all_gone(api, "owner"))


async def test_what_does_not_block_goes_without_holding_up_its_owner(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    await child(api, "held", owner, finalizers=["tidegate.dev/x"])
    await delete(api, "owner", "Foreground")

    await eventually(lambda: all_gone(api, "owner"))
    await eventually(lambda: "deletionTimestamp" in api.get(CONFIG_MAP, Key("default", "held"))["metadata"])


async def test_orphans_stay_and_lose_their_reference(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    other = await given(api, CONFIG_MAP, make.config_map("other"))
    await child(api, "shared", owner, other)
    await child(api, "only", owner)
    await delete(api, "owner", "Orphan")

    await eventually(lambda: all_gone(api, "owner"))
    assert "ownerReferences" not in api.get(CONFIG_MAP, Key("default", "only"))["metadata"]
    assert api.get(CONFIG_MAP, Key("default", "shared"))["metadata"]["ownerReferences"] == [owned_by(other)]


async def test_one_owner_is_enough_to_stay(api: Api) -> None:
    owners = [await given(api, CONFIG_MAP, make.config_map(name)) for name in ("one", "two")]
    await child(api, "shared", *owners)
    await delete(api, "one", "Background")
    shared = Key("default", "shared")
    await eventually(lambda: api.get(CONFIG_MAP, shared)["metadata"]["ownerReferences"] == [owned_by(owners[1])])

    await delete(api, "two", "Background")
    await eventually(lambda: all_gone(api, "shared"))


async def test_an_owner_of_the_same_name_is_not_the_same_owner(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    await delete(api, "owner", "Background")
    await given(api, CONFIG_MAP, make.config_map("owner"))
    await child(api, "late", owner)

    await eventually(lambda: all_gone(api, "late"))
    assert exists(api, CONFIG_MAP, "owner")


async def test_owners_that_are_not_served_here_count_as_present_and_cluster_wide_ones_are_found(api: Api) -> None:
    unknown: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "uid": "7"}}
    await child(api, "a", unknown)
    node = await given(api, NODE, {"metadata": {"name": "here"}})
    await child(api, "b", node)
    await untouched(api)
    assert exists(api, CONFIG_MAP, "a")
    assert exists(api, CONFIG_MAP, "b")

    await api.delete(NODE, Key("", "here"))
    await eventually(lambda: all_gone(api, "b"))


async def test_a_running_pod_is_given_its_grace(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    await given(api, POD, make.pod(node="here", ownerReferences=[owned_by(owner)]))
    await delete(api, "owner", "Background")

    await eventually(lambda: "deletionTimestamp" in api.get(POD, Key("default", "a"))["metadata"])


async def test_what_a_run_before_left_undone_is_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        owner = await given(api, CONFIG_MAP, make.config_map("owner"))
        await child(api, "left", owner)
        await api.store.change(CONFIG_MAP.resource, Key("default", "owner"), lambda old: None)
    async with opened(tmp_path) as api:
        await eventually(lambda: all_gone(api, "left"))


async def test_a_collector_that_fell_behind_looks_at_everything_again(tmp_path: Path) -> None:
    async with opened(tmp_path, queue=5) as api:
        owner = await given(api, CONFIG_MAP, make.config_map("owner"))
        for n in range(5):
            await child(api, f"child{n}", owner)
        await asyncio.gather(
            delete(api, "owner", "Background"),
            *(given(api, CONFIG_MAP, make.config_map(f"other{n}")) for n in range(50)),
        )

        await eventually(lambda: all_gone(api, *(f"child{n}" for n in range(5))))


async def test_hundreds_of_dependents_go_together(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    await asyncio.gather(*(child(api, f"c{n}", owner, blocks=True) for n in range(300)))
    await delete(api, "owner", "Foreground")

    await eventually(lambda: not api.list(CONFIG_MAP, "default").items)


async def test_an_owner_that_owns_itself_is_held_by_nothing_else(api: Api) -> None:
    first = await given(api, CONFIG_MAP, make.config_map("first"))
    second = await child(api, "second", first)
    references = [owned_by(second)]
    await api.update(
        CONFIG_MAP, Key("default", "first"), make.config_map("first", ownerReferences=references), user=make.USER
    )
    await untouched(api)
    assert exists(api, CONFIG_MAP, "first")

    await delete(api, "second", "Background")
    await eventually(lambda: all_gone(api, "first", "second"))
    with pytest.raises(errors.NotFound):
        api.get(CONFIG_MAP, Key("default", "first"))
