# SPDX-License-Identifier: Apache-2.0
"""A Pod of several containers: init containers before them, an address of its own, restarts of one, and a control plane
that is killed while they run."""

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import images
from harness.platform import Platform, eventually
from tidegate.kit import mounts

pytestmark = [
    pytest.mark.flow,
    pytest.mark.needs("root", "conmon", "runc", "skopeo", "busybox", "gcc", "nft", "kubectl"),
]

FEATURES = {"kubernetes.podspec-init-containers": "enabled", "multi-container-probing": "enabled"}
DATA = [{"name": "data", "mountPath": "/data"}]


def container(name: str, script: str = "", **more: Any) -> dict[str, Any]:
    command = {"command": ["sh", "-c", script]} if script else {}
    return {"name": name, "image": "pods:v1", "volumeMounts": DATA, **command, **more}


def service() -> dict[str, Any]:
    spec = {
        "initContainers": [
            container("first", "echo first > /data/steps"),
            container("second", "echo second >> /data/steps"),
        ],
        "containers": [
            container("app", ports=[{"containerPort": 8080}]),
            container(
                "beside", "PORT=9000 exec /app", readinessProbe={"httpGet": {"path": "/file/data/steps", "port": 9000}}
            ),
        ],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    annotations = {"autoscaling.knative.dev/min-scale": "2"}
    template = {"metadata": {"annotations": annotations}, "spec": spec}
    metadata = {"name": "pods", "namespace": "default"}
    return {
        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata, "spec": {"template": template},
    }  # fmt: skip


def statuses(pod: Any) -> list[Any]:
    return [*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ())]


def ids(platform: Platform) -> dict[str, list[str]]:
    """The containers of each instance."""
    return {
        pod["metadata"]["name"]: [each.get("containerID", "") for each in statuses(pod)]
        for pod in platform.pods("pods-00001")
        if "tidegate.dev/prepared" not in pod["metadata"]["labels"]
    }


async def hosts(client: httpx.AsyncClient) -> Counter[str]:
    answers = await asyncio.gather(*(client.get("/") for _ in range(40)))
    return Counter(str(json.loads(answer.text)["host"]) for answer in answers if answer.status_code == 200)


def process_of(container_id: str) -> int:
    """The first process of a container, found by its control group."""
    name = container_id.removeprefix("runc://").removeprefix("crun://")
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and name in (folder / "cgroup").read_text():
            return int(folder.name)
    raise AssertionError(f"no process of {container_id}")


async def test_the_containers_of_a_pod_start_in_order_and_outlive_the_control_plane(
    platform: Platform, tmp_path: Path
) -> None:
    layout = images.build(tmp_path / "image", "pods:v1", images.facts_app())
    platform.cli("image", "load", str(layout.archive(tmp_path / "image.tar")))
    features = {"apiVersion": "v1", "kind": "ConfigMap", "data": FEATURES}
    platform.apply({**features, "metadata": {"name": "config-features", "namespace": "knative-serving"}})
    platform.apply(service())
    platform.wait_ready("pods")

    async with platform.client("pods") as client:
        await eventually(lambda: len(ids(platform)) == 2, "two instances")
        assert (await client.get("/file/data/steps")).text.split() == ["first", "second"]
        found: Counter[str] = Counter()
        while len(found) < 2:
            found += await hosts(client)
        assert found.keys() == ids(platform).keys()

        before = ids(platform)
        await asyncio.to_thread(platform.crash)
        assert (await client.get("/")).status_code == 200
        assert ids(platform) == before

        # One container ends: only that one is restarted, and its Pod has its address still.
        name, (_, _, app, beside) = next(iter(before.items()))
        os.kill(process_of(beside), signal.SIGKILL)

        def is_restarted() -> bool:
            last = platform.get("pod", name)["status"]["containerStatuses"][1]
            return bool(last["restartCount"] == 1 and last["ready"])

        await eventually(is_restarted, "a restart of the container beside the app")
        after = platform.get("pod", name)["status"]["containerStatuses"]
        assert after[0]["containerID"] == app
        assert after[1]["containerID"] != beside
        assert after[1]["lastState"]["terminated"]["exitCode"] == 137
        reasons = platform.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}")
        assert all(reason in reasons for reason in ("Scheduled", "Pulled", "Created", "Started"))

    platform.cli("delete", "ksvc", "pods")
    await eventually(lambda: not platform.pods("pods-00001"), "no Pod of a deleted revision")
    await eventually(lambda: not mounts.below(platform.home / "oci"), "no mount of a deleted Pod")
