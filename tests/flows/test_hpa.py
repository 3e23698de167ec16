# SPDX-License-Identifier: Apache-2.0
"""The class HPA with real processes: CPU load or the metric of a queue adds instances, and a revision without requests
scales to zero."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from harness.platform import Platform, eventually, service
from tidegate.model.objects import Object

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]

USES_CPU = """
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


REPORTS_A_QUEUE = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

depth = Gauge("queue_depth", "Jobs that wait.")

class Queue(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/put/"):
            depth.inc(int(self.path.removeprefix("/put/")))
        body = generate_latest()
        self.send_response(200)
        self.send_header("content-type", CONTENT_TYPE_LATEST)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Queue).serve_forever()
"""


def hpa(name: str, program: str, metric: str, target: str, **container: Any) -> Object:
    made = service(
        name,
        annotations={
            "autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev",
            "autoscaling.knative.dev/metric": metric,
            "autoscaling.knative.dev/target": target,
            "autoscaling.knative.dev/window": "6s",
            "autoscaling.knative.dev/max-scale": "3",
        },
    )
    (only,) = made["spec"]["template"]["spec"]["containers"]
    only |= {"command": [sys.executable, "-c", program], **container}
    return made


@asynccontextmanager
async def load(platform: Platform, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """Send sequential requests to a service inside the block; yields a client of that service."""
    async with platform.client(name) as client:

        async def ask() -> None:
            while True:
                assert (await client.get("/")).is_success
                await asyncio.sleep(0.03)

        asking = asyncio.create_task(ask())
        yield client
        assert not asking.done(), asking.result()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def reasons(platform: Platform, revision: str) -> list[str]:
    decisions = platform.get("podautoscaler", revision)["status"]["decisions"]
    return [decision["reason"] for decision in decisions]


async def test_the_hpa_class_scales_by_cpu_and_to_zero(platform: Platform) -> None:
    # An instance requests very little CPU, so that its usage is far above the target even on a busy machine.
    platform.apply(hpa("burner", USES_CPU, "cpu", "50", resources={"requests": {"cpu": "20m"}}))
    platform.wait_ready("burner")

    async with load(platform, "burner"):
        await eventually(lambda: len(platform.pods("burner-00001")) > 1, "more than one instance")
        seen = reasons(platform, "burner-00001")

    assert any("% of cpu at a target of 50% wants" in reason for reason in seen)
    await eventually(lambda: not platform.pods("burner-00001"), "scale to zero after the load")


async def test_the_hpa_class_scales_by_a_prometheus_metric_and_to_zero(platform: Platform) -> None:
    platform.apply(hpa("queue", REPORTS_A_QUEUE, "queue_depth", "5"))
    platform.wait_ready("queue")

    async with load(platform, "queue") as client:
        assert "queue_depth 9.0" in (await client.get("/put/9")).text  # to the only instance
        await eventually(lambda: len(platform.pods("queue-00001")) == 2, "as many instances as the queue wants")
        seen = reasons(platform, "queue-00001")

    assert seen[0] == "9 of queue_depth at a target of 5 wants 2."
    await eventually(lambda: not platform.pods("queue-00001"), "scale to zero after the load")
