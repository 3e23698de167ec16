# SPDX-License-Identifier: Apache-2.0
"""An app is deployed, its traffic is split between two revisions, and it scales from zero and back."""

import asyncio
import json

import pytest

from harness.platform import Platform, eventually, send, service

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]

FAST = {"autoscaling.knative.dev/window": "6s"}


async def test_a_service_becomes_ready_answers_and_reads_as_a_knative_user_expects(platform: Platform) -> None:
    platform.apply(service("first"))
    platform.wait_ready("first")

    async with platform.client("first") as client:
        answer = await client.get("/")

    assert (answer.status_code, answer.text.split()[:2]) == (200, ["hello", "first-00001"])
    columns = platform.kubectl("get", "ksvc", "first").splitlines()
    assert columns[0].split() == ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"]
    assert columns[1].split()[2:] == ["first-00001", "first-00001", "True"]


async def test_traffic_is_split_between_two_revisions_by_percent(platform: Platform) -> None:
    platform.apply(service("split", greeting="one"))
    platform.wait_ready("split")
    second = service("split", greeting="two")
    second["spec"]["traffic"] = [
        {"revisionName": "split-00001", "percent": 90},
        {"revisionName": "split-00002", "percent": 10, "tag": "canary"},
    ]
    platform.apply(second)
    platform.wait_ready("split")

    async with platform.client("split") as client, platform.client("canary-split") as canary:
        answers = await send(client, 3000, at_once=10)
        tagged = await send(canary, 20, at_once=2)  # the tag's own host reaches its revision only

    assert set(answers) == {"200 one split-00001", "200 two split-00002"}
    # 3000 draws at 10 %: a standard deviation of 16; six of them either way.
    assert abs(answers["200 two split-00002"] - 300) < 100
    assert set(tagged) == {"200 two split-00002"}


async def test_a_service_scales_from_zero_to_many_and_back_without_losing_a_request(platform: Platform) -> None:
    platform.apply(
        service(
            "elastic",
            annotations={**FAST, "autoscaling.knative.dev/target": "5", "autoscaling.knative.dev/max-scale": "8"},
            containerConcurrency=10,
        )
    )
    platform.wait_ready("elastic")
    await eventually(lambda: not platform.pods("elastic-00001"), "scale to zero")

    async with platform.client("elastic") as client:
        load = asyncio.create_task(send(client, 500, at_once=500, path="/?sleep=0.5"))
        await eventually(lambda: len(platform.pods("elastic-00001")) > 1, "more than one instance")
        answers = await load

    assert answers == {"200 hello elastic-00001": 500}
    await eventually(lambda: not platform.pods("elastic-00001"), "scale to zero after load")
    service_now = platform.get("ksvc", "elastic")
    assert [entry["status"] for entry in service_now["status"]["conditions"]] == ["True"] * 3


async def test_container_concurrency_is_never_exceeded(platform: Platform) -> None:
    platform.apply(service("narrow", annotations={"autoscaling.knative.dev/max-scale": "3"}, containerConcurrency=2))
    platform.wait_ready("narrow")
    most: set[int] = set()

    async with platform.client("narrow") as client:
        answers = await send(client, 300, at_once=50, path="/?sleep=0.01")
        for _ in range(30):
            most.add(int((await client.get("/")).text.split()[3]))

    assert answers == {"200 hello narrow-00001": 300}
    assert max(most) <= 2


async def test_an_unknown_host_is_answered_with_404(platform: Platform) -> None:
    async with platform.client("nobody") as client:
        assert (await client.get("/")).status_code == 404


def test_every_object_between_service_and_instance_can_be_read(platform: Platform) -> None:
    platform.apply(service("seen"))
    platform.wait_ready("seen")

    for kind in ("configuration", "revision", "route", "podautoscaler", "kingress", "pod"):
        listed = json.loads(platform.kubectl("get", kind, "-l", "serving.knative.dev/service=seen", "-o", "json"))
        assert listed["items"], f"no {kind} of the service"
    assert "RevisionReady" in platform.kubectl("get", "events")


async def test_a_new_revision_gets_mirrored_requests_before_real_ones(platform: Platform) -> None:
    platform.apply(service("copied", greeting="one"))
    platform.wait_ready("copied")
    second = service("copied", greeting="two", annotations=FAST)
    second["spec"]["traffic"] = [{"revisionName": "copied-00001", "percent": 100}]
    platform.apply(second)
    platform.wait_ready("copied")
    await eventually(lambda: not platform.pods("copied-00002"), "scale to zero")

    shown = platform.cli("traffic", "copied", "--tag", "2=candidate", "--mirror", "candidate=100").stdout

    def copies() -> str:
        return str(platform.get("kingress", "copied")["metadata"]["annotations"].get("tidegate.dev/mirror"))

    await eventually(lambda: copies() == "copied-00002=100", "the Ingress mirrors")
    async with platform.client("copied") as client:
        answers = await send(client, 40, at_once=4)

    assert shown.splitlines()[-1].split() == ["candidate", "100%", "mirrored"]
    assert answers == {"200 one copied-00001": 40}
    answered = 'mirrored_responses_total{namespace="default",response_code="200",response_code_class="2xx",'
    series = f'tidegate_revision_{answered}revision="copied-00002"}} '
    await eventually(lambda: series in platform.kubectl("get", "--raw", "/metrics"), "the copies' answers")
