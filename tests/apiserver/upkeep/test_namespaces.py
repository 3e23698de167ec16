# SPDX-License-Identifier: Apache-2.0
"""The deletion of a Namespace."""

import asyncio
from pathlib import Path

import pytest

from harness.apiserver import opened
from tests.apiserver import make
from tests.apiserver.make import eventually, exists, given
from tidegate.apiserver.registry.namespace_lifecycle import INITIAL_NAMESPACES
from tidegate.model import errors
from tidegate.model.kinds import CONFIG_MAP, NAMESPACE, POD, SERVICE
from tidegate.model.objects import Key
from tidegate.model.registry.deletion import DeleteOptions

TEAM = Key("", "team")


async def test_the_initial_namespaces_exist(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        assert {namespace["metadata"]["name"] for namespace in api.list(NAMESPACE).items} == set(INITIAL_NAMESPACES)


async def test_a_deleted_namespace_is_emptied_and_then_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, NAMESPACE, {"metadata": {"name": "team"}})
        await given(api, SERVICE, make.service("hello", "team"))
        await asyncio.gather(*(given(api, CONFIG_MAP, make.config_map(f"m{n}", "team")) for n in range(50)))
        await given(api, CONFIG_MAP, make.config_map())
        marked, is_removed = await api.delete(NAMESPACE, TEAM)

        assert not is_removed
        assert marked["status"] == {"phase": "Terminating"}
        await eventually(lambda: not exists(api, NAMESPACE, "team", ""))
        assert api.list(CONFIG_MAP, "team").items == []
        assert exists(api, CONFIG_MAP, "a")


async def test_an_empty_namespace_is_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, NAMESPACE, {"metadata": {"name": "team"}})
        await api.delete(NAMESPACE, TEAM)

        await eventually(lambda: not exists(api, NAMESPACE, "team", ""))


async def test_a_namespace_that_is_being_deleted_accepts_no_new_objects(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, NAMESPACE, {"metadata": {"name": "team", "finalizers": ["tidegate.dev/x"]}})
        await api.delete(NAMESPACE, TEAM)
        with pytest.raises(errors.Forbidden, match="unable to create new content in namespace team") as rejection:
            await given(api, CONFIG_MAP, make.config_map("a", "team"))
        assert rejection.value.causes[0].reason == "NamespaceTerminating"
        assert exists(api, NAMESPACE, "team", "")

        await api.update(NAMESPACE, TEAM, {"metadata": {"name": "team"}}, user=make.USER)
        await eventually(lambda: not exists(api, NAMESPACE, "team", ""))


async def test_an_object_that_is_created_during_the_deletion_is_deleted_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, NAMESPACE, {"metadata": {"name": "team"}})
        await asyncio.gather(
            *(given(api, CONFIG_MAP, make.config_map(f"m{n}", "team")) for n in range(20)),
            api.delete(NAMESPACE, TEAM),
            *(given(api, CONFIG_MAP, make.config_map(f"n{n}", "team")) for n in range(20)),
            return_exceptions=True,
        )

        await eventually(lambda: not exists(api, NAMESPACE, "team", ""))
        assert api.list(CONFIG_MAP, "team").items == []


async def test_a_namespace_waits_for_the_grace_of_its_pods(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, NAMESPACE, {"metadata": {"name": "team"}})
        await given(api, POD, make.pod("a", "team", node="here"))
        await api.delete(NAMESPACE, TEAM)
        await eventually(lambda: "deletionTimestamp" in api.get(POD, Key("team", "a"))["metadata"])
        assert exists(api, NAMESPACE, "team", "")

        await api.delete(POD, Key("team", "a"), DeleteOptions(grace_seconds=0))
        await eventually(lambda: not exists(api, NAMESPACE, "team", ""))


async def test_a_deletion_that_began_before_a_restart_is_completed(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, NAMESPACE, {"metadata": {"name": "team", "finalizers": ["tidegate.dev/x"]}})
        await given(api, CONFIG_MAP, make.config_map("a", "team", finalizers=["tidegate.dev/x"]))
        await api.delete(NAMESPACE, TEAM)
    async with opened(tmp_path) as api:
        await api.update(CONFIG_MAP, Key("team", "a"), make.config_map("a", "team"), user=make.USER)
        await api.update(NAMESPACE, TEAM, {"metadata": {"name": "team"}}, user=make.USER)

        await eventually(lambda: not exists(api, NAMESPACE, "team", ""))
