# SPDX-License-Identifier: Apache-2.0
"""The digests of a Revision's images: resolved once, in the background, before it has Pods."""

import asyncio
import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness import make
from tests.controllers.world import World, controlled
from tidegate.controllers.serving.digests import container_statuses, unresolved_images, with_digests
from tidegate.images.credentials import Credentials
from tidegate.images.errors import ImageError
from tidegate.kit.clock import VirtualClock
from tidegate.model import kinds, names
from tidegate.model.objects import Object
from tidegate.model.pods import is_instance

TAG, OTHER, SETUP = "registry.example.com/hello:v1", "registry.example.com/other", "registry.example.com/setup:v1"
DIGEST = "registry.example.com/hello@sha256:" + "1" * 64
BUNDLE = f"{names.BUNDLE_IMAGE_PREFIX}hello@sha256:" + "2" * 64
NAME = "hello-00001"


def revision(*images: str, inits: tuple[str, ...] = (), **options: Any) -> Object:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    started = [{"name": f"i{number}", "image": image} for number, image in enumerate(inits)]
    spec = {**make.template()["spec"], "containers": containers, **({"initContainers": started} if started else {})}
    return make.revision(spec=spec, **options)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (revision(TAG), [TAG]),
        (revision(TAG, OTHER, TAG, inits=(SETUP, TAG)), [TAG, OTHER, SETUP]),
        (revision(DIGEST), []),
        (revision(BUNDLE), []),
        (revision(names.HOST_IMAGE), []),
        (revision(TAG, names.HOST_IMAGE), [TAG]),
        (revision(TAG, annotations={names.RUNTIME: "process"}), []),
    ],
)
def test_the_tags_of_images_in_registries_are_resolved(given: Object, wanted: list[str]) -> None:
    assert list(unresolved_images(given)) == wanted
    assert not unresolved_images({**given, "status": container_statuses(given, {})})


def test_the_status_has_the_digests_and_pods_use_them() -> None:
    given = revision(TAG, OTHER, inits=(SETUP,))
    resolved = {TAG: DIGEST, OTHER: "", SETUP: "setup@sha256:3"}

    made = {**given, "status": container_statuses(given, resolved)}

    assert made["status"] == {
        "containerStatuses": [{"name": "c0", "imageDigest": DIGEST}, {"name": "c1"}],
        "initContainerStatuses": [{"name": "i0", "imageDigest": "setup@sha256:3"}],
    }
    assert unresolved_images(made) == ()
    assert [container["image"] for container in with_digests(made)["containers"]] == [DIGEST, OTHER]
    assert [container["image"] for container in with_digests(made)["initContainers"]] == ["setup@sha256:3"]


class Registry:
    """Answers at once unless it is closed; counts the questions."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {TAG: DIGEST}
        self.asked: Counter[str] = Counter()
        self.credentials = Credentials()
        self.opened = asyncio.Event()
        self.opened.set()

    async def resolve(self, image: str, credentials: Credentials) -> str:
        self.asked[image] += 1
        self.credentials = credentials
        await self.opened.wait()
        if image not in self.answers:
            raise ImageError(f'Unable to fetch image "{image}": failed to resolve image to digest: not found')
        return self.answers[image]


def states(world: World) -> list[tuple[str, str, str]]:
    return [world.condition(kinds.REVISION, NAME, kind) for kind in ("ResourcesAvailable", "ContainerHealthy")]


RESOLVING = ("Unknown", "ResolvingDigests", "")


async def test_a_revision_has_no_pod_before_its_digests_and_each_pod_has_the_digest(tmp_path: Path) -> None:
    registry = Registry()
    registry.opened.clear()
    async with controlled(tmp_path, resolve=registry.resolve) as world:
        await world.apply(make.service(template=make.template(TAG)))
        await world.until(lambda: states(world) == [RESOLVING, RESOLVING])
        assert world.find(kinds.POD_AUTOSCALER, NAME) is None

        registry.answers[TAG] = DIGEST
        registry.opened.set()
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))

        status = world.get(kinds.REVISION, NAME)["status"]
        assert status["containerStatuses"] == [{"name": "user-container", "imageDigest": DIGEST}]
        assert {found["spec"]["containers"][0]["image"] for found in world.pods(NAME)} == {DIGEST}
        assert world.get(kinds.REVISION, NAME)["spec"]["containers"][0]["image"] == TAG
        assert registry.asked == {TAG: 1}


async def test_an_image_that_cannot_be_resolved_fails_its_revision_until_it_can(tmp_path: Path) -> None:
    registry, clock = Registry(), VirtualClock()
    registry.answers.clear()
    async with controlled(tmp_path, clock=clock, resolve=registry.resolve) as world:
        await world.apply(make.service(template=make.template(TAG)))
        message = f'Unable to fetch image "{TAG}": failed to resolve image to digest: not found'
        await world.until(lambda: states(world) == [RESOLVING, ("False", "ContainerMissing", message)])
        await world.until(lambda: world.condition(kinds.SERVICE, "hello")[1] == "RevisionFailed")
        assert world.condition(kinds.REVISION, NAME) == ("False", "ContainerMissing", message)
        assert world.condition(kinds.CONFIGURATION, "hello")[1] == "RevisionFailed"
        assert not world.pods(NAME)
        written = world.writes["revisions"]

        for wait in (1, 2, 4):
            before = registry.asked[TAG]
            await clock.advance(wait)
            assert registry.asked[TAG] == before + 1
        assert world.writes["revisions"] == written

        registry.answers[TAG] = DIGEST
        await clock.advance(8)
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        assert ("Revision", "ContainerMissing") in world.events()


async def test_a_new_pull_secret_is_used_at_once(tmp_path: Path) -> None:
    registry, clock = Registry(), VirtualClock()
    registry.answers.clear()
    async with controlled(tmp_path, clock=clock, resolve=registry.resolve) as world:
        await world.apply(make.service(template=make.template(TAG, imagePullSecrets=[{"name": "login"}])))
        await world.until(lambda: states(world)[1][1] == "ContainerMissing")
        assert registry.credentials == Credentials()

        registry.answers[TAG] = DIGEST
        config = json.dumps({"auths": {"registry.example.com": {"username": "ann", "password": "pw"}}}).encode()
        await world.cluster.create(
            kinds.SECRET,
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "login", "namespace": make.NAMESPACE},
                "type": "kubernetes.io/dockerconfigjson",
                "data": {".dockerconfigjson": base64.b64encode(config).decode()},
            },
        )

        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        assert [login.place for login in registry.credentials.logins] == ["registry.example.com"]


async def test_a_revision_that_has_its_digests_is_not_resolved_again(tmp_path: Path) -> None:
    registry = Registry()
    async with controlled(tmp_path, resolve=registry.resolve) as world:
        await world.apply(make.service(template=make.template(TAG)))
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        registry.answers[TAG] = "registry.example.com/hello@sha256:" + "9" * 64

        await world.scale(NAME, 0)
        await world.until(lambda: not any(map(is_instance, world.pods(NAME))))
        await world.scale(NAME, 2)

        await world.until(lambda: len(world.pods(NAME)) >= 2)
        assert registry.asked == {TAG: 1}
        assert {found["spec"]["containers"][0]["image"] for found in world.pods(NAME)} == {DIGEST}


async def test_a_revision_of_a_bundle_needs_no_write_for_its_digest(tmp_path: Path) -> None:
    registry = Registry()
    async with controlled(tmp_path, resolve=registry.resolve) as world:
        await world.apply(make.service(template=make.template(BUNDLE)))
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))

        assert not registry.asked
        status = world.get(kinds.REVISION, NAME)["status"]
        assert status["containerStatuses"] == [{"name": "user-container", "imageDigest": BUNDLE}]


async def test_a_deleted_revision_is_forgotten_while_it_is_resolved(tmp_path: Path) -> None:
    registry = Registry()
    registry.opened.clear()
    async with controlled(tmp_path, resolve=registry.resolve) as world:
        await world.apply(make.service(template=make.template(TAG)))
        await world.until(lambda: registry.asked[TAG])

        await world.delete(kinds.SERVICE, "hello")
        await world.until(lambda: world.find(kinds.REVISION, NAME) is None)
        registry.opened.set()
        await world.apply(make.service("other", template=make.template(TAG)))

        await world.until(lambda: world.is_ready(kinds.SERVICE, "other"))
