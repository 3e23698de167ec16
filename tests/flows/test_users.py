# SPDX-License-Identifier: Apache-2.0
"""If root runs Tidegate, each app runs as a user of its own and cannot reach Tidegate's files."""

import json
import sys
from typing import Any

import pytest

from harness.platform import Platform, eventually, service
from tidegate.model.objects import Object
from tidegate.node.runtimes.process.identity import hindrance

pytestmark = [
    pytest.mark.flow,
    pytest.mark.needs("kubectl"),
    pytest.mark.skipif(hindrance() != "", reason="only root, with its capabilities, starts others' processes"),
]

LOOKS = """
import json, os, socket, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

def reads(path):
    try:
        if path.endswith(".sock"):
            socket.socket(socket.AF_UNIX).connect(path)
        elif os.path.isdir(path):
            os.listdir(path)
        else:
            open(path).close()
    except OSError:
        return False
    return True

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        seen = {"user": os.getuid(), "group": os.getgid(), "path": os.environ["PATH"], "python": sys.executable}
        seen["reads"] = [path for path in sys.argv[1:] if reads(path)]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(seen).encode())

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def looks(name: str, *paths: str, **security_context: Any) -> Object:
    obj = service(name)
    container = obj["spec"]["template"]["spec"]["containers"][0]
    container |= {"command": [sys.executable, "-c", LOOKS, *paths], "securityContext": security_context}
    return obj


async def test_the_user_of_a_namespace_cannot_read_tidegate_s_files(platform: Platform) -> None:
    home = platform.home
    private = [home, home / "instances", home / "bundles", home / "state.db", home / "kubeconfig", home / "pki"]
    sockets = [home / "run" / "admin.sock", home / "run" / "xds.sock", home / "run" / "gate.sock"]
    await eventually(lambda: all(path.exists() for path in (*private, *sockets)), "the files and sockets of Tidegate")
    first, second = looks("one", *map(str, (*private, *sockets))), looks("two")
    second["metadata"]["namespace"] = "other"
    platform.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}, first, second)
    platform.wait_ready("one")
    platform.kubectl("wait", "--for=condition=Ready", "ksvc/two", "-n", "other", "--timeout=60s")

    async with platform.client("one") as client:
        one = (await client.get("/")).json()
        two = (await client.get("/", headers={"host": "two.other.localhost"})).json()

    assert one["reads"] == []
    assert len({0, one["user"], two["user"]}) == 3
    assert one["group"] == one["user"]
    assert str(sys.prefix) not in one["path"]


async def test_an_app_that_requests_root_has_the_refused_field_in_its_conditions(platform: Platform) -> None:
    platform.apply(looks("root", runAsUser=0))

    def refused() -> bool:
        found = platform.get("ksvc", "root").get("status", {}).get("conditions", ())
        return any("securityContext.runAsUser: 0 is root" in condition.get("message", "") for condition in found)

    await eventually(refused, "the condition names the field")


async def test_a_bundle_runs_as_the_user_of_its_manifest(platform: Platform, tmp_path: Any) -> None:
    source = tmp_path / "app"
    source.mkdir(mode=0o700)
    (source / "app.py").write_text(LOOKS)
    (source / "app.py").chmod(0o600)
    (source / "requirements.txt").write_text("")
    (source / "Procfile").write_text("web: python app.py\n")
    image = platform.cli("build", str(source)).stdout.split()[-1]
    obj = looks("bundled", runAsUser=21_001, runAsNonRoot=True)
    container = obj["spec"]["template"]["spec"]["containers"][0]
    container["image"] = image
    del container["command"]
    platform.apply(obj)
    platform.wait_ready("bundled")

    async with platform.client("bundled") as client:
        seen = json.loads((await client.get("/")).text)

    assert seen["user"] == 21_001
    assert seen["group"] != 0
    assert seen["python"].startswith(str(platform.home / "bundles"))
