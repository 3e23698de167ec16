# SPDX-License-Identifier: Apache-2.0
"""The class HPA with real processes: instances that burn CPU become more, and none once no request comes."""

import asyncio
import sys

import pytest

from tests.flows.platform import Platform, eventually, service
from tidegate.model.objects import Object

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]

BURNS = """
import os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Burner(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        end = time.thread_time() + 0.03
        while time.thread_time() < end:
            pass
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Burner).serve_forever()
"""


def burner() -> Object:
    """An instance asks for so little CPU that any share of a busy machine is far above the target."""
    made = service(
        "burner",
        annotations={
            "autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev",
            "autoscaling.knative.dev/metric": "cpu",
            "autoscaling.knative.dev/target": "50",
            "autoscaling.knative.dev/window": "6s",
            "autoscaling.knative.dev/max-scale": "3",
        },
    )
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container |= {"command": [sys.executable, "-c", BURNS], "resources": {"requests": {"cpu": "20m"}}}
    return made


async def test_it_scales_by_the_cpu_that_instances_use_and_to_zero(platform: Platform) -> None:
    platform.apply(burner())
    platform.wait_ready("burner")

    async with platform.client("burner") as client:

        async def load() -> None:
            while True:
                assert (await client.get("/")).is_success
                await asyncio.sleep(0.03)

        burning = asyncio.create_task(load())
        await eventually(lambda: burning.done() or len(platform.pods("burner-00001")) > 1, "more than one instance")
        decisions = platform.get("podautoscaler", "burner-00001")["status"]["decisions"]
        assert not burning.done(), burning.result()
        burning.cancel()
        await asyncio.gather(burning, return_exceptions=True)

    assert any("% of cpu at a target of 50% wants" in decision["reason"] for decision in decisions)
    await eventually(lambda: not platform.pods("burner-00001"), "scale to zero after the load")
