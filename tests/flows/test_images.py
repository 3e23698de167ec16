# SPDX-License-Identifier: Apache-2.0
"""A pull that hangs while the control plane is killed: the next one sweeps it away and pulls again; `down` ends it."""

import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import images
from harness.platform import Platform, eventually, running
from tests.images.lying_registry import Lies, lying

NEEDED = ("kubectl", "root", "skopeo", "conmon", "runc", "busybox", "nft")
pytestmark = [pytest.mark.flow, pytest.mark.needs(*NEEDED)]


def skopeos(platform: Platform) -> set[int]:
    """The processes of skopeo that work on the store of a platform."""
    folder = str(platform.home / "images")
    processes = psutil.process_iter(["pid", "cmdline"])
    return {each.info["pid"] for each in processes if any(folder in word for word in each.info["cmdline"] or ())}


def pulls(platform: Platform) -> list[Any]:
    return list(json.loads(platform.cli("image", "ls", "-o", "json").stdout)["pulls"])


def ran(platform: Platform) -> bool:
    return bool(platform.get("pod", "app")["status"].get("phase") == "Succeeded")


async def test_a_pull_that_a_crash_interrupts_is_tried_again_and_leaves_nothing(tmp_path: Path) -> None:
    extra = [images.Entry("large", os.urandom(2_000_000))]
    layout = images.build(tmp_path / "app", "app:v1", images.busybox(), extra)
    blobs = (layout.folder / "blobs" / "sha256").iterdir()
    largest = max(blobs, key=lambda blob: blob.stat().st_size)
    lies = Lies()
    lies.bodies[f"sha256:{largest.name}"] = lies.half_then_nothing
    with lying(layout, lies) as reference, running(tmp_path / "home") as platform:
        container = {"name": "app", "image": reference, "command": ["/bin/sh", "-c", "test -s /large"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}}
        platform.apply({**pod, "spec": {"restartPolicy": "Never", "containers": [container]}})
        await eventually(lambda: any(pull["done"] > 1_000_000 for pull in pulls(platform)), "half of the image")
        before = skopeos(platform)

        platform.crash()
        await eventually(lambda: not before & skopeos(platform) and bool(pulls(platform)), "another pull")
        platform.stop()
        assert skopeos(platform) == set()
        assert list((platform.home / "images" / "work").iterdir()) == []

        lies.bodies.clear()
        platform.start()
        await eventually(lambda: ran(platform), "the end of the Pod")
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
