# SPDX-License-Identifier: Apache-2.0
"""A host that is full: whoever asks for more than is left waits and says why, and nobody else notices."""

import json

import pytest

from tests.flows.platform import Platform, eventually, service
from tidegate.model.conditions import condition
from tidegate.model.objects import Object
from tidegate.model.text import quantities

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]


def asking(name: str, cpu: str) -> Object:
    made = service(name, annotations={"autoscaling.knative.dev/min-scale": "1"})
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["resources"] = {"requests": {"cpu": cpu}}
    return made


async def test_an_unschedulable_revision_reports_it_and_runs_when_there_is_capacity(platform: Platform) -> None:
    (node,) = json.loads(platform.kubectl("get", "nodes", "-o", "json"))["items"]
    most = f"{quantities.parse(node['status']['allocatable']['cpu']).amount * 1000 * 6 // 10}m"
    platform.apply(asking("holder", most))
    platform.wait_ready("holder")

    platform.apply(asking("guest", most))
    lacking = "0/1 nodes are available: 1 Insufficient cpu."

    def is_told() -> bool:
        told = condition(platform.get("revision", "guest-00001"), "ResourcesAvailable")
        return (told["status"], told.get("reason"), told.get("message")) == ("False", "Unschedulable", lacking)

    await eventually(is_told, "the revision says that there is no room")
    assert lacking in condition(platform.get("ksvc", "guest"), "Ready")["message"]
    async with platform.client("holder") as client:
        assert (await client.get("/")).status_code == 200

    platform.kubectl("delete", "ksvc", "holder")

    platform.wait_ready("guest")
    async with platform.client("guest") as client:
        assert (await client.get("/")).status_code == 200
