# SPDX-License-Identifier: Apache-2.0
"""Following a change of a Service: when it is in force, when it failed, and what is told on the way."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apiserver.world import cluster_of, opened
from tests.cli.world import service
from tidegate.cli.problems import Problem
from tidegate.cli.readiness import NotReady, Progress, deployed, follow, routed
from tidegate.model import kinds
from tidegate.model.objects import Key, Object

HELLO = Key("default", "hello")
YES, NO, OPEN = ("True",), ("False", "Broken", "no luck"), ("Unknown", "OutOfDate", "The child works on it.")
MISSING = ("False", "RevisionMissing", "no ready revision")
PROBING = ("Unknown", "Deploying", "waiting for 127.0.0.1:1")


def state(configuration: tuple[str, ...], route: tuple[str, ...], generation: int = 1) -> Object:
    """The status of a Service whose children say that."""
    said = {"ConfigurationsReady": configuration, "RoutesReady": route}
    conditions = [
        dict(zip(("status", "reason", "message"), texts, strict=False)) | {"type": kind} for kind, texts in said.items()
    ]
    return {"observedGeneration": generation, "conditions": conditions}


@pytest.mark.parametrize(
    ("configuration", "route", "of_deploy", "of_traffic"),
    [
        (YES, YES, "done", "done"),
        (YES, OPEN, "waiting", "waiting"),
        (YES, NO, "failed", "failed"),
        (YES, MISSING, "waiting", "failed"),
        (OPEN, YES, "waiting", "done"),
        (OPEN, MISSING, "waiting", "failed"),
        (OPEN, NO, "waiting", "failed"),
        (NO, YES, "failed", "done"),
        (NO, MISSING, "failed", "failed"),
    ],
)
def test_a_deploy_follows_its_revision_and_traffic_follows_the_route(
    configuration: tuple[str, ...], route: tuple[str, ...], of_deploy: str, of_traffic: str
) -> None:
    hello = {**service("hello"), "status": state(configuration, route)}

    assert (deployed(hello, 1).state, routed(hello, 1).state) == (of_deploy, of_traffic)


def test_a_route_that_names_its_revisions_does_not_speak_of_the_one_before() -> None:
    pinned = service("hello", traffic=[{"revisionName": "hello-00009", "percent": 100}])

    assert deployed({**pinned, "status": state(YES, MISSING)}, 1).state == "failed"


@pytest.mark.parametrize("decide", [deployed, routed])
@given(st.sampled_from([YES, NO, OPEN, MISSING]), st.sampled_from([YES, NO, OPEN, MISSING]), st.integers(0, 5))
def test_what_is_said_of_an_earlier_generation_ends_nothing(
    decide: type, configuration: tuple[str, ...], route: tuple[str, ...], generation: int
) -> None:
    hello = {**service("hello"), "status": state(configuration, route, generation)}

    assert decide(hello, generation + 1).state == "waiting"


def test_progress_is_in_plain_words_and_the_app_s_own_are_marked() -> None:
    hello = service("hello")

    assert deployed({**hello, "status": state(OPEN, OPEN)}, 1) == Progress(
        "waiting", "waiting for the control plane to see the change"
    )
    assert deployed({**hello, "status": state(PROBING, OPEN)}, 1) == Progress(
        "waiting", "waiting for 127.0.0.1:1", by_app=True
    )
    assert deployed({**hello, "status": state(("Unknown",), OPEN)}, 1) == Progress("waiting", "starting an instance")


async def test_each_new_thing_is_told_once_and_the_service_returned_when_it_is_in_force(tmp_path: Path) -> None:
    told: list[str] = []
    heard = asyncio.Event()

    async def tell(service: Object, progress: Progress) -> None:
        told.append(progress.why)
        heard.set()

    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "tester")
        changed = await cluster.create(kinds.SERVICE, service("hello"))
        waiting = asyncio.create_task(follow(cluster, changed, deployed, 30, tell))
        for status in (state(OPEN, OPEN), state(OPEN, MISSING), state(PROBING, OPEN)):
            await heard.wait()
            await cluster.patch(kinds.SERVICE, HELLO, {"status": status}, subresource="status")
        await cluster.patch(kinds.SERVICE, HELLO, {"status": state(YES, YES)}, subresource="status")

        ready = await waiting

    assert ready["status"] == state(YES, YES)
    assert told[0] == "waiting for the control plane to see the change"
    assert told[1:] in (["waiting for 127.0.0.1:1"], [])


async def test_the_failure_of_the_revision_before_does_not_end_the_next_deploy(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "tester")
        await cluster.create(kinds.SERVICE, service("hello"))
        await cluster.patch(kinds.SERVICE, HELLO, {"status": state(NO, MISSING)}, subresource="status")
        template = {"metadata": {"annotations": {"fixed": "yes"}}, "spec": {"containers": [{"image": "two"}]}}
        changed = await cluster.patch(kinds.SERVICE, HELLO, {"spec": {"template": template}})
        waiting = asyncio.create_task(follow(cluster, changed, deployed, 30))
        for status in (state(OPEN, MISSING, 2), state(YES, MISSING, 2), state(YES, YES, 2)):
            await cluster.patch(kinds.SERVICE, HELLO, {"status": status}, subresource="status")

        assert (await waiting)["status"] == state(YES, YES, 2)


async def test_a_failure_ends_it_with_its_message(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "tester")
        changed = await cluster.create(kinds.SERVICE, service("hello"))
        await cluster.patch(kinds.SERVICE, HELLO, {"status": state(NO, OPEN)}, subresource="status")

        with pytest.raises(NotReady, match=r"^hello is not ready: no luck$"):
            await follow(cluster, changed, deployed, 30)


async def test_the_end_of_patience_says_what_it_waited_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "tester")
        changed = await cluster.create(kinds.SERVICE, service("hello"))

        with pytest.raises(
            Problem, match=r"hello is not ready after 0\.05 s: waiting for the control plane to see the change"
        ):
            await follow(cluster, changed, deployed, 0.05)


async def test_a_service_that_is_deleted_meanwhile_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "tester")
        changed = await cluster.create(kinds.SERVICE, service("hello"))
        await cluster.delete(kinds.SERVICE, HELLO)

        with pytest.raises(Problem, match="hello was deleted"):
            await follow(cluster, changed, deployed, 30)
