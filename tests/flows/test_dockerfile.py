# SPDX-License-Identifier: Apache-2.0
"""`tidegate deploy` of a folder with a Dockerfile: the image runs as a container, and each revision keeps its image."""

from pathlib import Path

import pytest

from harness import images
from harness.platform import Platform
from tests.bundles.world import folder_of

pytestmark = [pytest.mark.flow, pytest.mark.needs("buildah", "skopeo", "runc", "conmon", "nft", "busybox", "root")]

_DOCKERFILE = """
FROM facts:1
ARG COLOR=none
ENV COLOR=$COLOR
RUN ["/bin/sh", "-c", "echo built > /built"]
USER 1000
"""


async def facts(platform: Platform, host: str) -> dict[str, object]:
    async with platform.client(host) as client:
        answer = await client.get("/")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_folder_with_a_dockerfile_is_built_and_served(platform: Platform, tmp_path: Path) -> None:
    images.load(platform.home, images.build(tmp_path / "base", "facts:1", images.facts_app()))
    source = folder_of(tmp_path / "app", Dockerfile=_DOCKERFILE)

    platform.cli("deploy", source.name, "--name", "docker", "--build-arg", "COLOR=blue", folder=source.parent)
    first = await facts(platform, "docker")
    platform.cli("deploy", str(source), "--name", "docker", "--build-arg", "COLOR=red")
    second = await facts(platform, "docker")
    platform.cli("traffic", "docker", "docker-00001=100", "--wait")
    back = await facts(platform, "docker")

    assert first["user"] == 1000
    assert [found(each, "COLOR") for each in (first, second, back)] == ["blue", "red", "blue"]


def found(answer: dict[str, object], name: str) -> str:
    environment = answer["environment"]
    assert isinstance(environment, list)
    return dict(str(each).split("=", 1) for each in environment)[name]
