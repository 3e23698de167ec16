# SPDX-License-Identifier: Apache-2.0
"""ResourceQuotas: they are exact under simultaneous writes, and report the used amounts."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as holds_for
from hypothesis import settings
from hypothesis import strategies as some

from harness.apiserver import cluster_of, opened
from tests.apiserver import make
from tests.apiserver.make import given
from tidegate.apiserver.registry.api import Api
from tidegate.model import errors, kinds
from tidegate.model.kinds import CONFIG_MAP, POD, RESOURCE_QUOTA, SERVICE
from tidegate.model.objects import Key, Object
from tidegate.model.registry.deletion import DeleteOptions

QUOTA = Key("default", "q")


def pod(name: str, cpu: str = "", **more: Any) -> make.Json:
    made = make.pod(name, **more)
    if cpu:
        made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return made


async def refused(api: Api, obj: make.Json, *, dry_run: bool = False) -> str:
    kind = kinds.BUILT_IN_KINDS.named(obj["apiVersion"], obj["kind"])
    assert kind is not None
    with pytest.raises(errors.Forbidden) as caught:
        await api.create(kind, "default", obj, user=make.USER, dry_run=dry_run)
    return caught.value.message


async def used(api: Api, expected: dict[str, str]) -> None:
    """Return once the quota's status has these amounts."""

    def status() -> Object:
        return api.get(RESOURCE_QUOTA, QUOTA).get("status") or {}

    await make.eventually(lambda: status().get("used") == expected)


async def test_a_pod_beyond_the_quota_is_rejected_with_kubernetes_message(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, RESOURCE_QUOTA, make.resource_quota(pods="2"))
        await given(api, POD, pod("a"))
        await given(api, POD, pod("b"))

        text = "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
        assert await refused(api, pod("x")) == f'pods "x" is forbidden: {text}'
        assert await refused(api, pod("x"), dry_run=True) == f'pods "x" is forbidden: {text}'
        await used(api, {"pods": "2"})


async def test_a_dry_run_uses_no_quota(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, RESOURCE_QUOTA, make.resource_quota(pods="1"))
        await api.create(POD, "default", pod("a"), user=make.USER, dry_run=True)

        await given(api, POD, pod("a"))


async def test_a_pod_without_a_request_for_a_limited_resource_is_rejected(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, RESOURCE_QUOTA, make.resource_quota(cpu="1"))

        text = 'pods "x" is forbidden: failed quota: q: must specify cpu for: main'
        assert await refused(api, pod("x")) == text


async def test_objects_of_any_kind_are_counted(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        limits = {"count/services.serving.knative.dev": "1", "configmaps": "1"}
        await given(api, RESOURCE_QUOTA, make.resource_quota(**limits))
        await given(api, SERVICE, make.service("one"))
        await given(api, CONFIG_MAP, make.config_map("one"))

        assert (await refused(api, make.service("two"))).endswith("limited: count/services.serving.knative.dev=1")
        assert "exceeded quota" in await refused(api, make.config_map("two"))
        await given(api, CONFIG_MAP, make.config_map("two", "kube-system"))
        await used(api, {"count/services.serving.knative.dev": "1", "configmaps": "1"})


async def test_simultaneous_creations_fill_a_quota_exactly(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, RESOURCE_QUOTA, make.resource_quota(pods="3"))

        made = await asyncio.gather(*(given(api, POD, pod(f"p{n}")) for n in range(20)), return_exceptions=True)

        assert sum(isinstance(one, dict) for one in made) == 3
        assert sum(isinstance(one, errors.Forbidden) for one in made) == 17
        await used(api, {"pods": "3"})


async def test_a_pod_counts_until_it_is_removed_or_has_ended(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, RESOURCE_QUOTA, make.resource_quota(pods="2", **{"count/pods": "3"}))
        await given(api, POD, pod("ends"))
        await given(api, POD, pod("goes", node="here"))
        await api.delete(POD, Key("default", "goes"))
        assert "used: pods=2" in await refused(api, pod("x"))

        await api.delete(POD, Key("default", "goes"), DeleteOptions(grace_seconds=0))
        await given(api, POD, pod("next"))
        assert "used: pods=2" in await refused(api, pod("x"))
        await cluster_of(api, "node").patch(
            POD, Key("default", "ends"), {"status": {"phase": "Succeeded"}}, subresource="status"
        )
        await given(api, POD, pod("x"))
        assert "used: count/pods=3,pods=2" in await refused(api, pod("y"))
        await used(api, {"pods": "2", "count/pods": "3"})


async def test_every_quota_of_a_namespace_holds_until_it_is_raised_or_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, RESOURCE_QUOTA, make.resource_quota(pods="1"))
        await given(api, RESOURCE_QUOTA, make.resource_quota("r", pods="2"))
        await given(api, POD, pod("a"))
        assert "exceeded quota: q" in await refused(api, pod("b"))

        await cluster_of(api, "u").patch(RESOURCE_QUOTA, QUOTA, {"spec": {"hard": {"pods": "5"}}})
        await given(api, POD, pod("b"))
        assert "exceeded quota: r" in await refused(api, pod("c"))
        await api.delete(RESOURCE_QUOTA, Key("default", "r"))
        await given(api, POD, pod("c"))
        await used(api, {"pods": "3"})
        assert api.get(RESOURCE_QUOTA, QUOTA)["status"]["hard"] == {"pods": "5"}


async def test_used_amounts_are_known_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, POD, pod("a", cpu="600m"))
        await given(api, RESOURCE_QUOTA, make.resource_quota(**{"requests.cpu": "1"}))

    async with opened(tmp_path) as api:
        text = await refused(api, pod("b", cpu="500m"))

        assert text.endswith("requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1")


async def test_a_quota_may_be_less_than_the_used_amount(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, POD, pod("a"))
        await given(api, RESOURCE_QUOTA, make.resource_quota(pods="0"))

        await used(api, {"pods": "1"})
        await cluster_of(api, "u").patch(POD, Key("default", "a"), {"metadata": {"labels": {"a": "b"}}})
        await api.delete(POD, Key("default", "a"))
        await used(api, {"pods": "0"})


STEPS = some.lists(
    some.tuples(some.sampled_from(("create", "end", "delete")), some.integers(0, 5), some.integers(1, 4)), max_size=25
)


async def take_step(api: Api, what: str, number: int, cpu: int) -> None:
    name = Key("default", f"p{number}")
    try:
        if what == "create":
            await given(api, POD, pod(name.name, cpu=f"{cpu}00m"))
        elif what == "delete":
            await api.delete(POD, name)
        else:
            await cluster_of(api, "node").patch(POD, name, {"status": {"phase": "Failed"}}, subresource="status")
    except (errors.Forbidden, errors.NotFound, errors.AlreadyExists):
        return


def asked_for(api: Api) -> int:
    """The requested thousandths of a CPU of all Pods that have not ended."""
    pods = [found for found in api.list(POD, "default").items if found["status"]["phase"] != "Failed"]
    asked = [found["spec"]["containers"][0]["resources"]["requests"]["cpu"] for found in pods]
    return sum(int(cpu.removesuffix("m")) for cpu in asked)


@settings(max_examples=25, deadline=None)
@holds_for(steps=STEPS, together=some.booleans())
def test_used_amounts_are_the_sums_of_all_objects_and_never_above_the_quota(
    steps: Sequence[tuple[str, int, int]], together: bool
) -> None:
    async def run(folder: Path) -> None:
        async with opened(folder) as api:
            await given(api, RESOURCE_QUOTA, make.resource_quota(cpu="1"))
            for one in () if together else steps:
                await take_step(api, *one)
                assert asked_for(api) <= 1000
            await asyncio.gather(*(take_step(api, *one) for one in steps if together))
            assert asked_for(api) <= 1000
            assert api.quotas.used("default").get("cpu", 0) * 1000 == asked_for(api)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


@settings(max_examples=25, deadline=None)
@holds_for(steps=STEPS, places=some.lists(some.integers(0, 25), min_size=1, max_size=3))
def test_a_quota_that_is_created_or_deleted_meanwhile_counts_pending_creations(
    steps: Sequence[tuple[str, int, int]], places: Sequence[int]
) -> None:
    async def turn(api: Api) -> None:
        """Create or delete one quota."""
        try:
            await given(api, RESOURCE_QUOTA, make.resource_quota(cpu="1"))
        except errors.AlreadyExists:
            await api.delete(RESOURCE_QUOTA, QUOTA)

    async def run(folder: Path) -> None:
        async with opened(folder) as api:
            doings = [take_step(api, *one) for one in steps]
            for place in places:
                doings.insert(place, turn(api))
            await asyncio.gather(*doings)
            if api.quotas.limiting("default"):
                assert api.quotas.used("default").get("cpu", 0) * 1000 == asked_for(api)
                await api.delete(RESOURCE_QUOTA, QUOTA)
            await given(api, RESOURCE_QUOTA, make.resource_quota(cpu="1"))
            assert api.quotas.used("default").get("cpu", 0) * 1000 == asked_for(api)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
