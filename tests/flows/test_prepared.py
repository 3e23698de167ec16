# SPDX-License-Identifier: Apache-2.0
"""A revision of an image from a registry: its tag is resolved once, a request starts its prepared Pod, and the next one
is prepared."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import images, registry
from harness.platform import Platform, eventually, running
from harness.registry import TestRegistry

NEEDED = ("kubectl", "root", "skopeo", "docker-registry", "conmon", "runc", "busybox", "nft")
pytestmark = [pytest.mark.flow, pytest.mark.needs(*NEEDED)]


@pytest.fixture
def private(tmp_path: Path) -> Iterator[TestRegistry]:
    """A registry that asks for a password."""
    with registry.running(tmp_path / "registry", users=True) as private:
        yield private


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A Tidegate for one test, which kills it."""
    with running(tmp_path / "home") as platform:
        yield platform


def state(pod: Any) -> str:
    """prepared, ready or other."""
    conditions = {condition["type"]: condition["status"] for condition in pod["status"].get("conditions", ())}
    labelled = "tidegate.dev/prepared" in pod["metadata"]["labels"]
    if "deletionTimestamp" in pod["metadata"]:
        return "other"
    if labelled:
        return "prepared" if conditions.get("tidegate.dev/Prepared") == "True" else "other"
    return "ready" if conditions.get("Ready") == "True" else "other"


def states(platform: Platform) -> dict[str, str]:
    return {pod["metadata"]["name"]: state(pod) for pod in platform.pods("app-00001")}


async def only_prepared(platform: Platform) -> str:
    """The name of the only Pod, once it is prepared."""
    await eventually(lambda: list(states(platform).values()) == ["prepared"], "one prepared Pod and no instance")
    return next(iter(states(platform)))


async def test_a_request_starts_the_prepared_container_of_a_private_image(
    tmp_path: Path, private: TestRegistry, platform: Platform
) -> None:
    layout = images.build(tmp_path / "v1", "app:v1", images.facts_app(), entrypoint=["/app"])
    image = private.push(layout, "team/app:v1")

    refused = platform.cli("deploy", "--image", image, "--timeout", "60", check=False)
    assert refused.returncode != 0
    assert f'Unable to fetch image "{image}": failed to resolve image to digest' in refused.stderr.splitlines()[-1]

    (tmp_path / "config.json").write_text(private.docker_config())
    login = ("create", "secret", "generic", "login", "--type=kubernetes.io/dockerconfigjson")
    platform.kubectl(*login, f"--from-file=.dockerconfigjson={tmp_path / 'config.json'}")
    window = ("--annotation", "autoscaling.knative.dev/window=6s")
    platform.cli("delete", "ksvc", "app")
    deployed = platform.cli("deploy", "--image", image, "--pull-secret", "login", *window)
    assert deployed.stdout.startswith("http://app.default.")

    revision = platform.get("rev", "app-00001")
    digest = f"{private.address}/team/app@{layout.digest}"
    assert revision["status"]["containerStatuses"] == [{"name": "user-container", "imageDigest": digest}]
    private.push(images.build(tmp_path / "v2", "app:v1", images.busybox()), "team/app:v1")  # the tag moves

    first = await only_prepared(platform)
    assert "Prepared" in platform.kubectl("get", "pod", first)
    assert platform.status()["services"][0]["prepared"] == 1
    async with platform.client("app") as client:
        assert await answered_by(client) == first
        await eventually(
            lambda: sorted(states(platform).values()) == ["prepared", "ready"], "an instance and the next prepared Pod"
        )
        assert {pod["spec"]["containers"][0]["image"] for pod in platform.pods("app-00001")} == {digest}

        second = await only_prepared(platform)
        assert second != first
        await asyncio.to_thread(platform.crash)
        assert states(platform) == {second: "prepared"}
        assert await answered_by(client) == second

    platform.cli("delete", "ksvc", "app")
    await eventually(lambda: not platform.pods("app-00001"), "no Pod of a deleted revision")


async def answered_by(client: Any) -> str:
    """The host name of the container that responds: its Pod's name."""
    answer = await client.get("/")
    assert answer.status_code == 200, answer.text
    return str(json.loads(answer.text)["host"])
