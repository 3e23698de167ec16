# SPDX-License-Identifier: Apache-2.0
"""A full host: a revision that requests more than the free capacity waits and reports the reason; others still run."""

import json

import pytest

from harness.platform import Platform, eventually, service
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

    def is_reported() -> bool:
        resources = condition(platform.get("revision", "guest-00001"), "ResourcesAvailable")
        found = (resources["status"], resources.get("reason"), resources.get("message"))
        return found == ("False", "Unschedulable", lacking)

    await eventually(is_reported, "the report of the missing capacity")
    assert lacking in condition(platform.get("ksvc", "guest"), "Ready")["message"]
    async with platform.client("holder") as client:
        assert (await client.get("/")).status_code == 200

    platform.kubectl("delete", "ksvc", "holder")

    platform.wait_ready("guest")
    async with platform.client("guest") as client:
        assert (await client.get("/")).status_code == 200
