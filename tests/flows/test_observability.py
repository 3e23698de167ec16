# SPDX-License-Identifier: Apache-2.0
"""Traffic for an operator: metrics at /metrics, and a log line for each request when the access log is on."""

import json

import pytest

from harness.platform import Platform, eventually, send, service

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]

LOGGED = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "config-observability", "namespace": "knative-serving"},
    "data": {"logging.enable-request-log": "true"},
}


async def test_metrics_describe_a_revision_and_the_access_log_its_requests(platform: Platform) -> None:
    platform.apply(service("seen"))
    platform.wait_ready("seen")
    async with platform.client("seen") as client:
        await send(client, 20, at_once=2)
        figures = platform.kubectl("get", "--raw", "/metrics")
        assert 'namespace="default",revision="seen-00001"' in figures

    platform.apply(LOGGED)
    log = platform.home / "gateway" / "access.log"
    await eventually(log.exists, "the access log")
    async with platform.client("seen") as client:  # older connections keep the old setting
        await send(client, 20, at_once=2)
        await eventually(lambda: "seen-00001" in log.read_text(), "its lines")

    line = json.loads(log.read_text().splitlines()[-1])
    assert (line["revision"], line["status"], line["method"]) == ("default/seen-00001", 200, "GET")
