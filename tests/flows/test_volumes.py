# SPDX-License-Identifier: Apache-2.0
"""The volumes of running containers: ConfigMaps, Secrets, tokens, claims."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from harness import images
from harness.platform import PATIENCE, Platform, eventually
from tidegate.kit import mounts

pytestmark = [
    pytest.mark.flow,
    pytest.mark.needs("root", "conmon", "runc", "skopeo", "busybox", "gcc", "nft", "kubectl"),
]

FEATURES = {
    "kubernetes.podspec-persistent-volume-claim": "enabled",
    "kubernetes.podspec-persistent-volume-write": "enabled",
}
TOKEN = "var/run/secrets/kubernetes.io/serviceaccount"


def obj(kind: str, name: str, api_version: str = "v1", namespace: str = "default", **body: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **body}


SERVICE = {
    "containers": [
        {
            "image": "volumes:v1",
            "volumeMounts": [
                {"name": "settings", "mountPath": "/settings", "readOnly": True},
                {"name": "settings", "mountPath": "/fixed", "subPath": "color", "readOnly": True},
                {"name": "all", "mountPath": "/all", "readOnly": True},
                {"name": "cache", "mountPath": "/cache"},
                {"name": "data", "mountPath": "/data"},
            ],
        }
    ],
    "volumes": [
        {"name": "settings", "configMap": {"name": "settings"}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"secret": {"name": "private"}},
                    {"serviceAccountToken": {"path": "token", "audience": "vault"}},
                ]
            },
        },
        {"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    ],
}


async def test_a_container_sees_its_volumes_and_their_changes(platform: Platform, tmp_path: Path) -> None:
    layout = images.build(tmp_path / "image", "volumes:v1", images.facts_app())
    platform.cli("image", "load", str(layout.archive(tmp_path / "image.tar")))
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    template = {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}}, "spec": SERVICE}
    platform.apply(
        obj("ConfigMap", "config-features", namespace="knative-serving", data=FEATURES),
        obj("ConfigMap", "settings", data={"color": "blue"}),
        obj("PersistentVolumeClaim", "data", spec=asked),
    )
    platform.apply(obj("Service", "volumes", "serving.knative.dev/v1", spec={"template": template}))

    # The Secret is missing: the Pod waits, and starts once it exists.
    waiting = 'MountVolume.SetUp failed for volume "all" : secret "private" not found'
    await eventually(lambda: waiting in platform.kubectl("get", "events"), "an event about the Secret")
    platform.apply(obj("Secret", "private", stringData={"password": "s3cret"}))
    platform.wait_ready("volumes")

    async with platform.client("volumes") as client:

        async def read(path: str) -> str:
            return (await client.get(f"/file/{path}")).text.strip()

        assert [await read(path) for path in ("settings/color", "fixed", "all/password")] == ["blue", "blue", "s3cret"]
        tokens = [await read("all/token"), await read(f"{TOKEN}/token")]
        assert [len(token.split(".")) for token in tokens] == [3, 3]
        assert await read(f"{TOKEN}/namespace") == "default"
        paths = ("cache/x", "data/x", "all/x")
        assert [(await client.get(f"/write/{path}")).status_code for path in paths] == [200, 200, 403]

        change = json.dumps({"data": {"color": "green"}})
        platform.kubectl("patch", "configmap", "settings", "--type", "merge", "-p", change)
        async with asyncio.timeout(PATIENCE):
            while await read("settings/color") != "green":
                await asyncio.sleep(0.05)
        assert await read("fixed") == "blue"

    # The claim stays as long as the Pod, and is removed with its folder afterwards.
    platform.kubectl("delete", "pvc", "data", "--wait=false")
    assert platform.get("pvc", "data")["metadata"]["deletionTimestamp"]
    platform.kubectl("delete", "ksvc", "volumes")
    platform.kubectl("wait", "--for=delete", "pvc/data", f"--timeout={PATIENCE:.0f}s")
    folders = platform.home / "volumes" / "claims"
    await eventually(lambda: not list(folders.iterdir()), "the removal of the claim's folder")
    platform.cli("down")
    assert mounts.below(platform.home / "volumes") == []
