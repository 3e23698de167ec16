# SPDX-License-Identifier: Apache-2.0
"""Pulls from a real registry with the real skopeo."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import images
from harness.registry import TestRegistry
from tidegate.images import puller as puller_module
from tidegate.images import work_folder
from tidegate.images.errors import PullError
from tidegate.images.puller import Puller
from tidegate.images.resolver import Resolver
from tidegate.images.store import ImageStore
from tidegate.model.config import Configs, ImagesConfig

pytestmark = pytest.mark.needs("skopeo", "docker-registry", "busybox", "root")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


async def test_a_pulled_image_has_its_configuration_and_its_layers(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    extra = [images.Entry("etc/motd", b"hello\n", 0o640)]
    config: dict[str, Any] = {"entrypoint": ["/bin/sh"], "cmd": ["-c", "true"], "env": {"A": "b=c"}, "user": "1000"}
    layout = images.build(tmp_path / "app", "app:v1", images.busybox(), extra, **config)
    reference = plain.push(layout, "complete/app:v1")

    image = await Puller(store, ImagesConfig).pull(reference)

    assert (image.names, image.digest) == ((reference,), layout.digest)
    assert (image.config.entrypoint, image.config.cmd) == (("/bin/sh",), ("-c", "true"))
    assert (image.config.env, image.config.user) == ({"A": "b=c"}, "1000")
    top, bottom = image.layers
    assert (top / "etc/motd").read_bytes() == b"hello\n"
    assert (bottom / "bin/busybox").is_file()
    assert store.find(reference) == store.get(image.id) == image
    assert work_folder.running(store.folder) == []
    assert list((store.folder / "work").iterdir()) == []


async def test_a_resolved_index_is_pulled_for_this_machine(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    both = {"s390x": images.busybox(), images.this_architecture(): images.busybox()}
    layout = images.build_index(tmp_path / "app", "app:v1", both)
    reference = plain.push(layout, "index/app:v1")

    resolved = await Resolver(store, Configs).resolve(reference)
    image = await Puller(store, ImagesConfig).pull(resolved)

    assert resolved == f"{plain.address}/index/app@{layout.digest}"
    assert image.digest == layout.digest
    assert image.platform.architecture == images.this_architecture()


async def test_callers_that_pull_one_image_at_once_share_a_pull(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    reference = plain.push(images.build(tmp_path / "app", "app:v1", images.busybox()), "shared/app:v1")
    puller = Puller(store, ImagesConfig)

    pulls = [asyncio.create_task(puller.pull(reference)) for _ in range(10)]
    await asyncio.sleep(0)
    assert len(puller.running) == 1

    assert len({image.id for image in await asyncio.gather(*pulls)}) == 1


async def test_a_missing_tag_is_an_error_with_the_answer_of_the_registry(
    plain: TestRegistry, store: ImageStore
) -> None:
    with pytest.raises(PullError, match="manifest unknown") as raised:
        await Puller(store, ImagesConfig).pull(f"{plain.address}/missing/app:v1")

    assert raised.value.reason == "ErrImagePull"


@pytest.mark.parametrize(
    ("image", "policy", "reason"), [("UPPER", "", "InvalidImageName"), ("app:v1", "Never", "ErrImageNeverPull")]
)
async def test_an_image_that_cannot_be_pulled_has_a_reason(
    store: ImageStore, image: str, policy: str, reason: str
) -> None:
    with pytest.raises(PullError) as raised:
        await Puller(store, ImagesConfig).pull(image, policy)

    assert raised.value.reason == reason


async def test_a_damaged_store_is_a_reason_of_its_own(store: ImageStore) -> None:
    store.images.mkdir(parents=True)
    (store.images / "images.json").write_text("{")

    with pytest.raises(PullError, match=r"the image store is damaged: .*images\.json") as raised:
        await Puller(store, ImagesConfig).pull("app:v1")

    assert raised.value.reason == "ImageInspectError"


async def test_a_tag_that_moved_is_pulled_again_under_the_policy_always(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    first, second = (images.build(tmp_path / name, "app:v1", [images.Entry("a", name.encode())]) for name in "12")
    puller = Puller(store, ImagesConfig)
    reference = plain.push(first, "moving/app:v1")
    await puller.pull(reference)
    plain.push(second, "moving/app:v1")
    asked: list[str] = []

    kept = await puller.pull(reference, "IfNotPresent", pulling=lambda: asked.append("if not present"))
    moved = await puller.pull(reference, "Always", pulling=lambda: asked.append("always"))
    same = await puller.pull(reference, "Always")

    assert (kept.digest, moved.digest, same.id) == (first.digest, second.digest, moved.id)
    assert asked == ["always"]
    assert store.find(reference) == same
    assert [image.names for image in store.all_images() if image.id == kept.id] == [()]


async def test_a_reference_with_tag_and_digest_is_pulled_by_the_digest(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    layout = images.build(tmp_path / "app", "app:v1", [images.Entry("a", b"a")])
    reference = plain.push(layout, "both/app:v1")

    image = await Puller(store, ImagesConfig).pull(f"{reference}@{layout.digest}")

    assert image.names == (f"{reference.removesuffix(':v1')}@{layout.digest}",)


async def test_an_image_without_layers_and_one_of_many_layers_are_pulled(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    many = [[images.Entry(f"file-{number}", b"x")] for number in range(40)]
    puller = Puller(store, ImagesConfig)

    none = await puller.pull(plain.push(images.build(tmp_path / "none", "app:v1"), "none/app:v1"))
    all_of_them = await puller.pull(plain.push(images.build(tmp_path / "many", "app:v1", *many), "many/app:v1"))

    assert none.layers == ()
    assert [sorted(path.name for path in layer.iterdir()) for layer in all_of_them.layers] == [
        [f"file-{number}"] for number in reversed(range(40))
    ]


def test_processes_that_pull_one_image_into_a_new_store_all_succeed(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    layers = [[images.Entry(f"file-{number}", b"x")] for number in range(3)]
    reference = plain.push(images.build(tmp_path / "app", "app:v1", *layers), "processes/app:v1")
    command = [sys.executable, "-m", "tidegate", "image", "pull", reference, "--data-dir", str(tmp_path)]

    pulls = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ends = [(pull.communicate()[1], pull.returncode) for pull in pulls]

    assert [code for _, code in ends] == [0, 0, 0, 0], ends
    assert [image.names for image in store.all_images()] == [(reference,)]
    assert list(store.unused_layers(2**40)) == []


async def test_pulls_of_many_images_at_once_all_succeed_and_leave_nothing(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    shared = [images.Entry("shared", bytes(100_000))]
    layouts = [
        images.build(tmp_path / f"app{number}", "app:v1", shared, [images.Entry("own", bytes([number]))])
        for number in range(8)
    ]
    references = [plain.push(layout, f"many{number}/app:v1") for number, layout in enumerate(layouts)]
    puller = Puller(store, ImagesConfig)

    pulled = await asyncio.gather(*(puller.pull(reference) for reference in references))

    assert len({image.id for image in pulled}) == 8
    assert len({image.layers[-1] for image in pulled}) == 1
    assert list((store.folder / "work").iterdir()) == []
    assert str(store.folder) not in Path("/proc/self/mounts").read_text()


async def test_the_message_names_skopeo_if_the_host_lacks_it(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(PullError, match="skopeo is not installed") as raised:
        await Puller(store, ImagesConfig).pull("app:v1")

    assert raised.value.reason == "ErrImagePull"


async def test_the_oldest_failures_are_forgotten(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(puller_module, "_MOST_REMEMBERED", 3)
    pulling = Puller(store, ImagesConfig)

    for number in range(5):
        with pytest.raises(PullError):
            await pulling.pull(f"app:v{number}")

    assert [name for name, _ in pulling.failures] == [f"docker.io/library/app:v{number}" for number in (2, 3, 4)]
