# SPDX-License-Identifier: Apache-2.0
"""Apps that run as processes are in a sandbox by default."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.platform import Platform, eventually, send, service

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl", "bwrap")]

LOOKS = """
import http.server, os, sys
home = sys.argv[1]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        processes = len([name for name in os.listdir("/proc") if name.isdecimal()])
        seen = [name for name in ("kubeconfig", "state.db", "run") if os.path.exists(f"{home}/{name}")]
        body = f"{os.uname().nodename} {processes} {seen} {os.listdir('/tmp')} {os.path.exists('/data/x')}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def looks(name: str, platform: Platform, **annotations: str) -> dict[str, object]:
    obj = service(name, annotations={key.replace("_", "-"): value for key, value in annotations.items()})
    container = obj["spec"]["template"]["spec"]["containers"][0]
    container["command"] = [sys.executable, "-c", LOOKS, str(platform.home)]
    return obj


async def answer(platform: Platform, name: str) -> str:
    platform.wait_ready(name)
    async with platform.client(name) as client:
        return (await client.get("/")).text


async def test_an_app_sees_itself_alone_unless_its_sandbox_is_off(platform: Platform) -> None:
    platform.apply(looks("inside", platform))
    platform.apply(looks("outside", platform, **{"tidegate.dev/sandbox": "none"}))

    host, processes, *rest = (await answer(platform, "inside")).split(" ")
    assert host.startswith("inside-00001-")
    assert int(processes) == 2
    python = Path(sys.prefix).parts  # it stays visible where it is
    in_tmp = [python[2]] if python[1] == "tmp" else []
    assert rest == ["[]", str(in_tmp), "False"]
    host, processes, *_ = (await answer(platform, "outside")).split(" ")
    assert host == os.uname().nodename
    assert int(processes) > 2


async def test_a_sandboxed_app_survives_the_control_plane_and_ends_with_its_service(platform: Platform) -> None:
    platform.apply(service("stays", annotations={"autoscaling.knative.dev/min-scale": "1"}))
    platform.wait_ready("stays")

    platform.crash()
    async with platform.client("stays") as client:
        assert await send(client, 20, at_once=4) == {"200 hello stays-00001": 20}
    platform.kubectl("delete", "ksvc", "stays")

    mark = f"TIDEGATE_INSTANCE={platform.home}/".encode()
    await eventually(lambda: not any(mark in environment for environment in environments()), "the end of its processes")


def environments() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            yield path.read_bytes()
        except OSError:
            continue
