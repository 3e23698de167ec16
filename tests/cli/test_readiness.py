# SPDX-License-Identifier: Apache-2.0
"""Following a change of a Service: its success, its failure and the progress messages."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.apiserver import cluster_of, opened
from tests.cli.world import service
from tidegate.cli.failures import CommandFailure
from tidegate.cli.readiness import NotReady, Readiness, deployed, follow, routed
from tidegate.model import kinds
from tidegate.model.objects import Key, Object

HELLO = Key("default", "hello")
YES, NO, OPEN = ("True",), ("False", "Broken", "no luck"), ("Unknown", "OutOfDate", "The child works on it.")
MISSING = ("False", "RevisionMissing", "no ready revision")
PROBING = ("Unknown", "Deploying", "waiting for 127.0.0.1:1")


def state(configuration: tuple[str, ...], route: tuple[str, ...], generation: int = 1) -> Object:
    """The status of a Service whose children have these conditions."""
    children = {"ConfigurationsReady": configuration, "RoutesReady": route}
    conditions = [
        dict(zip(("status", "reason", "message"), texts, strict=False)) | {"type": kind}
        for kind, texts in children.items()
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


def test_a_missing_revision_of_a_pinned_route_is_a_failure() -> None:
    pinned = service("hello", traffic=[{"revisionName": "hello-00009", "percent": 100}])

    assert deployed({**pinned, "status": state(YES, MISSING)}, 1).state == "failed"


@pytest.mark.parametrize("decide", [deployed, routed])
@given(st.sampled_from([YES, NO, OPEN, MISSING]), st.sampled_from([YES, NO, OPEN, MISSING]), st.integers(0, 5))
def test_conditions_of_an_earlier_generation_are_ignored(
    decide: type, configuration: tuple[str, ...], route: tuple[str, ...], generation: int
) -> None:
    hello = {**service("hello"), "status": state(configuration, route, generation)}

    assert decide(hello, generation + 1).state == "waiting"


def test_reasons_are_plain_words_and_messages_of_the_app_are_marked() -> None:
    hello = service("hello")

    assert deployed({**hello, "status": state(OPEN, OPEN)}, 1) == Readiness(
        "waiting", "waiting for the control plane to see the change"
    )
    assert deployed({**hello, "status": state(PROBING, OPEN)}, 1) == Readiness(
        "waiting", "waiting for 127.0.0.1:1", by_app=True
    )
    assert deployed({**hello, "status": state(("Unknown",), OPEN)}, 1) == Readiness("waiting", "starting an instance")


async def test_each_new_state_is_reported_once_and_the_ready_service_is_returned(tmp_path: Path) -> None:
    reasons: list[str] = []
    reported = asyncio.Event()

    async def report(service: Object, progress: Readiness) -> None:
        reasons.append(progress.reason)
        reported.set()

    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "tester")
        changed = await cluster.create(kinds.SERVICE, service("hello"))
        waiting = asyncio.create_task(follow(cluster, changed, deployed, 30, report))
        for status in (state(OPEN, OPEN), state(OPEN, MISSING), state(PROBING, OPEN)):
            await reported.wait()
            await cluster.patch(kinds.SERVICE, HELLO, {"status": status}, subresource="status")
        await cluster.patch(kinds.SERVICE, HELLO, {"status": state(YES, YES)}, subresource="status")

        ready = await waiting

    assert ready["status"] == state(YES, YES)
    assert reasons[0] == "waiting for the control plane to see the change"
    assert reasons[1:] in (["waiting for 127.0.0.1:1"], [])


async def test_the_failure_of_the_previous_revision_does_not_end_the_next_deploy(tmp_path: Path) -> None:
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


async def test_a_failed_condition_raises_its_message(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "tester")
        changed = await cluster.create(kinds.SERVICE, service("hello"))
        await cluster.patch(kinds.SERVICE, HELLO, {"status": state(NO, OPEN)}, subresource="status")

        with pytest.raises(NotReady, match=r"^hello is not ready: no luck$"):
            await follow(cluster, changed, deployed, 30)


async def test_a_timeout_reports_the_last_reason(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "tester")
        changed = await cluster.create(kinds.SERVICE, service("hello"))

        with pytest.raises(
            CommandFailure, match=r"hello is not ready after 0\.05 s: waiting for the control plane to see the change"
        ):
            await follow(cluster, changed, deployed, 0.05)


async def test_a_service_deleted_meanwhile_is_a_failure(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        cluster = cluster_of(api, "tester")
        changed = await cluster.create(kinds.SERVICE, service("hello"))
        await cluster.delete(kinds.SERVICE, HELLO)

        with pytest.raises(CommandFailure, match="hello was deleted"):
            await follow(cluster, changed, deployed, 30)
