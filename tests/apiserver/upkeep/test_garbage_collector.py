# SPDX-License-Identifier: Apache-2.0
"""The garbage collector: owner references, foreground and orphan deletions."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness.apiserver import opened
from tests.apiserver import make
from tests.apiserver.make import eventually, exists, given, owned_by
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


def all_deleted(api: Api, *names: str) -> bool:
    return not any(exists(api, CONFIG_MAP, name) for name in names)


async def untouched(api: Api) -> None:
    """Give the collector time for a mistake."""
    for _ in range(3):
        await settle()
        await api.store.settled()


async def test_the_dependents_of_a_deleted_owner_are_deleted(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    middle = await child(api, "middle", owner)
    await child(api, "leaf", middle)
    await given(api, CONFIG_MAP, make.config_map("other"))

    assert await delete(api, "owner", "Background")

    await eventually(lambda: all_deleted(api, "middle", "leaf"))
    assert exists(api, CONFIG_MAP, "other")


async def test_an_owner_waits_for_blocking_dependents_in_a_foreground_deletion(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    await child(api, "held", owner, blocks=True, finalizers=["tidegate.dev/x"])
    await child(api, "free", owner, blocks=True)

    assert not await delete(api, "owner", "Foreground")
    await eventually(lambda: all_deleted(api, "free"))
    await untouched(api)
    assert exists(api, CONFIG_MAP, "owner")
    assert "deletionTimestamp" in api.get(CONFIG_MAP, Key("default", "held"))["metadata"]

    await api.update(CONFIG_MAP, Key("default", "held"), make.config_map("held"), user=make.USER)
    await eventually(lambda: all_deleted(api, "owner", "held"))


async def test_a_foreground_deletion_removes_a_tree_from_its_leaves(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    middle = await child(api, "middle", owner, blocks=True)
    await child(api, "leaf", middle, blocks=True, finalizers=["tidegate.dev/x"])
    await delete(api, "owner", "Foreground")
    await eventually(lambda: "deletionTimestamp" in api.get(CONFIG_MAP, Key("default", "leaf"))["metadata"])
    assert exists(api, CONFIG_MAP, "middle")

    order: list[str] = []
    with api.watch(CONFIG_MAP, since=api.store.revision) as changes:
        await api.update(CONFIG_MAP, Key("default", "leaf"), make.config_map("leaf"), user=make.USER)
        await eventually(lambda: all_deleted(api, "owner", "middle", "leaf"))
        order = [change.key.name for change in changes.take() if change.new is None]

    assert order == ["leaf", "middle", "owner"]


async def test_a_foreground_deletion_without_dependents_completes(api: Api) -> None:
    await given(api, CONFIG_MAP, make.config_map("owner"))
    await delete(api, "owner", "Foreground")

    await eventually(lambda: all_deleted(api, "owner"))


async def test_a_dependent_that_does_not_block_is_deleted_after_its_owner(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    await child(api, "held", owner, finalizers=["tidegate.dev/x"])
    await delete(api, "owner", "Foreground")

    await eventually(lambda: all_deleted(api, "owner"))
    await eventually(lambda: "deletionTimestamp" in api.get(CONFIG_MAP, Key("default", "held"))["metadata"])


async def test_orphans_stay_and_lose_their_reference(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    other = await given(api, CONFIG_MAP, make.config_map("other"))
    await child(api, "shared", owner, other)
    await child(api, "only", owner)
    await delete(api, "owner", "Orphan")

    await eventually(lambda: all_deleted(api, "owner"))
    assert "ownerReferences" not in api.get(CONFIG_MAP, Key("default", "only"))["metadata"]
    assert api.get(CONFIG_MAP, Key("default", "shared"))["metadata"]["ownerReferences"] == [owned_by(other)]


async def test_an_object_with_one_remaining_owner_stays(api: Api) -> None:
    owners = [await given(api, CONFIG_MAP, make.config_map(name)) for name in ("one", "two")]
    await child(api, "shared", *owners)
    await delete(api, "one", "Background")
    shared = Key("default", "shared")
    await eventually(lambda: api.get(CONFIG_MAP, shared)["metadata"]["ownerReferences"] == [owned_by(owners[1])])

    await delete(api, "two", "Background")
    await eventually(lambda: all_deleted(api, "shared"))


async def test_an_owner_of_the_same_name_is_not_the_same_owner(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    await delete(api, "owner", "Background")
    await given(api, CONFIG_MAP, make.config_map("owner"))
    await child(api, "late", owner)

    await eventually(lambda: all_deleted(api, "late"))
    assert exists(api, CONFIG_MAP, "owner")


async def test_owners_of_unknown_kinds_count_as_present_and_cluster_wide_owners_are_found(api: Api) -> None:
    unknown: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "uid": "7"}}
    await child(api, "a", unknown)
    node = await given(api, NODE, {"metadata": {"name": "here"}})
    await child(api, "b", node)
    await untouched(api)
    assert exists(api, CONFIG_MAP, "a")
    assert exists(api, CONFIG_MAP, "b")

    await api.delete(NODE, Key("", "here"))
    await eventually(lambda: all_deleted(api, "b"))


async def test_a_running_pod_is_given_its_grace(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    await given(api, POD, make.pod(node="here", ownerReferences=[owned_by(owner)]))
    await delete(api, "owner", "Background")

    await eventually(lambda: "deletionTimestamp" in api.get(POD, Key("default", "a"))["metadata"])


async def test_deletions_that_began_before_a_restart_are_completed(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        owner = await given(api, CONFIG_MAP, make.config_map("owner"))
        await child(api, "left", owner)
        await api.store.change(CONFIG_MAP.resource, Key("default", "owner"), lambda old: None)
    async with opened(tmp_path) as api:
        await eventually(lambda: all_deleted(api, "left"))


async def test_a_collector_that_fell_behind_reconciles_all_objects(tmp_path: Path) -> None:
    async with opened(tmp_path, queue=5) as api:
        owner = await given(api, CONFIG_MAP, make.config_map("owner"))
        for n in range(5):
            await child(api, f"child{n}", owner)
        await asyncio.gather(
            delete(api, "owner", "Background"),
            *(given(api, CONFIG_MAP, make.config_map(f"other{n}")) for n in range(50)),
        )

        await eventually(lambda: all_deleted(api, *(f"child{n}" for n in range(5))))


async def test_hundreds_of_dependents_are_deleted_together(api: Api) -> None:
    owner = await given(api, CONFIG_MAP, make.config_map("owner"))
    await asyncio.gather(*(child(api, f"c{n}", owner, blocks=True) for n in range(300)))
    await delete(api, "owner", "Foreground")

    await eventually(lambda: not api.list(CONFIG_MAP, "default").items)


async def test_a_cycle_of_owners_is_deleted_together(api: Api) -> None:
    first = await given(api, CONFIG_MAP, make.config_map("first"))
    second = await child(api, "second", first)
    references = [owned_by(second)]
    await api.update(
        CONFIG_MAP, Key("default", "first"), make.config_map("first", ownerReferences=references), user=make.USER
    )
    await untouched(api)
    assert exists(api, CONFIG_MAP, "first")

    await delete(api, "second", "Background")
    await eventually(lambda: all_deleted(api, "first", "second"))
    with pytest.raises(errors.NotFound):
        api.get(CONFIG_MAP, Key("default", "first"))
