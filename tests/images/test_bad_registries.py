# SPDX-License-Identifier: Apache-2.0
"""Registries that hang, lie or reject: each pull ends with a reason and leaves nothing, and the next one succeeds."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import images
from harness.images import Entry, ImageLayout
from harness.registry import TestRegistry
from harness.waiting import eventually
from tests.disk import Disk, small_disk
from tests.images.lying_registry import Lies, corrupted, lying
from tidegate.images import work_folder
from tidegate.images.errors import PullError
from tidegate.images.puller import Puller
from tidegate.images.resolver import ResolutionError, Resolver
from tidegate.images.store import ImageStore
from tidegate.kit.clock import VirtualClock
from tidegate.model.config import Configs, ImagesConfig

__all__ = ["small_disk"]

pytestmark = pytest.mark.needs("skopeo", "docker-registry", "root")

IMPATIENT = ImagesConfig(image_pull_progress_deadline=1.0)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.fixture
def layout(tmp_path: Path) -> ImageLayout:
    """An image of two layers; the second is large and does not compress."""
    return images.build(tmp_path / "app", "app:v1", [Entry("a", b"a")], [Entry("b", os.urandom(4_000_000))])


def blob(layout: ImageLayout, *, layer: int) -> str:
    """The digest of a layer's blob."""
    return str(manifest(layout)["layers"][layer]["digest"])


def manifest(layout: ImageLayout) -> Any:
    return json.loads((layout.folder / "blobs" / "sha256" / layout.digest.removeprefix("sha256:")).read_bytes())


async def failure(store: ImageStore, reference: str, config: ImagesConfig = IMPATIENT) -> str:
    """The message of a pull that fails; nothing of it is left."""
    with pytest.raises(PullError) as raised:
        await Puller(store, lambda: config).pull(reference)
    assert raised.value.reason == "ErrImagePull"
    assert store.all_images() == []
    assert list((store.folder / "work").iterdir()) == []
    assert skopeos(store) == []
    return raised.value.message


def skopeos(store: ImageStore) -> list[psutil.Process]:
    """The processes of skopeo that work on a store."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(store.folder) in word for word in process.info["cmdline"] or ())
    ]


async def test_a_corrupted_layer_is_rejected(store: ImageStore, layout: ImageLayout) -> None:
    lies = Lies({blob(layout, layer=1): corrupted})
    with lying(layout, lies) as reference:
        assert "digest" in (await failure(store, reference)).lower()

        lies.bodies.clear()
        image = await Puller(store, ImagesConfig).pull(reference)

    assert image.digest == layout.digest


async def test_a_corrupted_configuration_is_rejected(store: ImageStore, layout: ImageLayout) -> None:
    with lying(layout, Lies({manifest(layout)["config"]["digest"]: corrupted})) as reference:
        assert "digest" in (await failure(store, reference)).lower()


async def test_a_manifest_that_does_not_have_the_digest_of_the_reference_is_rejected(
    store: ImageStore, layout: ImageLayout
) -> None:
    with lying(layout, Lies({layout.digest: lambda content: iter([content.replace(b" ", b"\t", 1)])})) as reference:
        message = await failure(store, f"{reference.removesuffix(':v1')}@{layout.digest}")

    assert "digest" in message.lower()


async def test_a_pull_without_progress_is_cancelled(store: ImageStore, layout: ImageLayout) -> None:
    lies = Lies()
    lies.bodies[blob(layout, layer=1)] = lies.half_then_nothing
    with lying(layout, lies) as reference:
        assert await failure(store, reference) == (
            f'failed to pull image "{reference}": no progress for 1 s; cancelled'
        )


async def test_a_slow_pull_shows_its_progress_and_is_not_cancelled(store: ImageStore, layout: ImageLayout) -> None:
    lies = Lies()
    lies.bodies[blob(layout, layer=1)] = lies.slowly
    with lying(layout, lies) as reference:
        pulling = asyncio.create_task(Puller(store, lambda: IMPATIENT).pull(reference))
        seen = []

        def has_moved() -> bool:
            seen.extend(work_folder.running(store.folder))
            return len({pull.done for pull in seen if pull.total}) > 2

        await eventually(has_moved, "progress")
        lies.released.set()
        await pulling

    total = sum(layer["size"] for layer in manifest(layout)["layers"])
    assert {pull.image for pull in seen} == {reference}
    assert seen[-1].total == total
    assert 0 < seen[-1].done <= total


async def test_a_registry_that_does_not_answer_ends_a_pull_and_a_resolution(
    tmp_path: Path, plain: TestRegistry, store: ImageStore, layout: ImageLayout
) -> None:
    reference = plain.push(layout, "hanging/app:v1")
    configs = Configs(images=IMPATIENT, deployment=replace(Configs().deployment, digest_resolution_timeout=0.5))
    plain.stop_answering()
    try:
        with pytest.raises(ResolutionError) as raised:
            await Resolver(store, lambda: configs).resolve(reference)
        message = await failure(store, reference)
    finally:
        plain.answer_again()

    assert str(raised.value) == (
        f'Unable to fetch image "{reference}": failed to resolve image to digest: '
        "the registry did not answer within 0.5 s"
    )
    assert message == f'failed to pull image "{reference}": the registry did not answer within 1 s'


async def test_a_redirect_to_a_signed_address_does_not_reach_the_message(
    store: ImageStore, layout: ImageLayout
) -> None:
    lies = Lies(status=307, headers={"location": "http://127.0.0.1:1/blob?signature=secret-signature"})
    with lying(layout, lies) as reference:
        assert "secret-signature" not in await failure(store, reference)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_an_error_of_the_registry_is_in_the_message(store: ImageStore, layout: ImageLayout, status: int) -> None:
    with lying(layout, Lies(status=status)) as reference:
        message = await failure(store, reference, replace(IMPATIENT, image_pull_progress_deadline=20.0))

    assert "app" in message


async def test_an_endless_manifest_is_cut_off(store: ImageStore, layout: ImageLayout) -> None:
    def endless(content: bytes) -> Iterator[bytes]:
        yield content
        while True:
            yield b" " * 65536

    with lying(layout, Lies({layout.digest: endless}, announces_length=False)) as reference:
        await failure(store, reference, ImagesConfig())


async def test_an_image_for_another_kind_of_machine_is_rejected(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    foreign = images.build(tmp_path / "foreign", "app:v1", [Entry("a", b"a")], architecture="s390x")
    several = images.build_index(
        tmp_path / "several", "app:v1", {"s390x": [Entry("a", b"a")], "arm": [Entry("a", b"b")]}
    )
    ours = images.this_architecture()

    one = await failure(store, plain.push(foreign, "foreign/one:v1"))
    many = await failure(store, plain.push(several, "foreign/many:v1"))

    assert one.endswith(f": the image is for linux/s390x; this machine runs linux/{ours}")
    assert f"for architecture {ours}" in many


async def test_a_full_disk_ends_a_pull_and_the_next_one_succeeds(
    plain: TestRegistry, layout: ImageLayout, small_disk: Disk
) -> None:
    store = ImageStore(small_disk.path / "images")
    store.folder.mkdir()
    reference = plain.push(layout, "full/app:v1")
    small_disk.fill(but=3_000_000)
    assert await failure(store, reference)

    small_disk.free()
    image = await Puller(store, ImagesConfig).pull(reference)

    assert image.digest == layout.digest


async def test_a_pull_that_is_killed_leaves_nothing_behind(store: ImageStore, layout: ImageLayout) -> None:
    lies = Lies()
    lies.bodies[blob(layout, layer=1)] = lies.half_then_nothing
    with lying(layout, lies) as reference:
        program = [sys.executable, "-m", "tidegate", "image", "pull", reference, "--data-dir", str(store.folder.parent)]
        child = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await eventually(lambda: any(pull.done > 1000 for pull in work_folder.running(store.folder)), "a pull")
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert work_folder.running(store.folder) == []
        assert skopeos(store) != []

        work_folder.sweep(store.folder)

        await eventually(lambda: not skopeos(store), "the end of skopeo")
        assert list((store.folder / "work").iterdir()) == []
        lies.bodies.clear()
        image = await Puller(store, ImagesConfig).pull(reference)
    assert image.digest == layout.digest


async def test_a_pull_ends_when_no_caller_waits_any_more(store: ImageStore, layout: ImageLayout) -> None:
    lies = Lies()
    lies.bodies[blob(layout, layer=1)] = lies.half_then_nothing
    with lying(layout, lies) as reference:
        puller = Puller(store, ImagesConfig)
        first, second = (asyncio.create_task(puller.pull(reference)) for _ in range(2))
        await eventually(lambda: work_folder.running(store.folder), "a pull")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert work_folder.running(store.folder)

        second.cancel()
        await asyncio.gather(second, return_exceptions=True)

        assert list((store.folder / "work").iterdir()) == []
        assert skopeos(store) == []
        assert puller.running == {}
        lies.bodies.clear()
        assert await puller.pull(reference)


async def test_failed_pulls_back_off(store: ImageStore, layout: ImageLayout) -> None:
    clock = VirtualClock()
    lies = Lies(status=404)
    with lying(layout, lies) as reference:
        puller = Puller(store, ImagesConfig, clock)
        for wait in (10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0):
            with pytest.raises(PullError) as failed:
                await puller.pull(reference)
            asked = len(lies.requests)
            await clock.advance(wait - 0.1)
            with pytest.raises(PullError) as backed_off:
                await puller.pull(reference)
            assert (failed.value.reason, backed_off.value.reason) == ("ErrImagePull", "ImagePullBackOff")
            assert backed_off.value.message == (
                f'Back-off pulling image "{reference}": ErrImagePull: {failed.value.message}'
            )
            assert len(lies.requests) == asked
            await clock.advance(0.1)

        lies.status = 200
        assert await puller.pull(reference)
        assert puller.failures == {}


async def test_images_are_pulled_in_parallel_up_to_the_limit(
    tmp_path: Path, store: ImageStore, layout: ImageLayout
) -> None:
    lies = Lies()
    lies.bodies[blob(layout, layer=1)] = lies.half_then_nothing
    with lying(layout, lies) as reference:
        puller = Puller(store, lambda: ImagesConfig(max_parallel_image_pulls=2))
        base = reference.removesuffix("app:v1")
        pulls = [asyncio.create_task(puller.pull(f"{base}{name}/app:v1")) for name in ("a", "b", "c")]
        await eventually(lambda: len(work_folder.running(store.folder)) == 2, "two pulls")
        await asyncio.sleep(0.2)

        assert len(work_folder.running(store.folder)) == 2
        assert len(puller.running) == 3
        for pull in pulls:
            pull.cancel()
        await asyncio.gather(*pulls, return_exceptions=True)
