# SPDX-License-Identifier: Apache-2.0
"""Unused images are removed by age and by the use of the disk."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import images
from harness.images import Entry, ImageLayout
from tests.images.lying_registry import Lies, lying
from tidegate.images import collection, loading, removal
from tidegate.images.collection import ImageUse
from tidegate.images.errors import ImageError, PullError
from tidegate.images.puller import Puller
from tidegate.images.store import ImageStore
from tidegate.images.stored import ImageConfig, StoredImage
from tidegate.model.config import ImagesConfig

NOW = 1_000_000.0
HOUR = 3600.0
DIGEST = "sha256:" + "a" * 64


def image(name: str) -> StoredImage:
    return StoredImage(name, DIGEST, frozenset([DIGEST]), (name,), ImageConfig(), ())


@pytest.mark.parametrize(
    ("hours", "is_loaded", "maximum", "removed"),
    [
        (0.01, False, 0.0, "never"),
        (0.1, False, 0.0, "if full"),
        (100, False, 0.0, "if full"),
        (100, False, 200 * HOUR, "if full"),
        (100, False, 50 * HOUR, "always"),
        (23, True, 0.0, "never"),
        (23, True, HOUR, "never"),
        (25, True, 0.0, "if full"),
        (25, True, HOUR, "always"),
    ],
)
def test_an_unused_image_is_removed_by_its_age(hours: float, is_loaded: bool, maximum: float, removed: str) -> None:
    use = ImageUse(image("a"), NOW - hours * HOUR, is_loaded)

    aged, removable = collection.unneeded([use], ImagesConfig(image_maximum_gc_age=maximum), NOW)

    assert {"never": ([], []), "if full": ([], [use.image]), "always": ([use.image], [])}[removed] == (aged, removable)


def test_the_image_that_was_used_longest_ago_is_removed_first() -> None:
    uses = [ImageUse(image(name), NOW - hours * HOUR) for name, hours in (("a", 1), ("b", 3), ("c", 2))]

    _, removable = collection.unneeded(uses, ImagesConfig(), NOW)

    assert [each.id for each in removable] == ["b", "c", "a"]


CONTAINERS: Any = {"containers": [{"image": "a"}, {}], "initContainers": [{"image": "b"}]}
STATUSES: Any = {
    "containerStatuses": [{"imageID": f"docker-pullable://c@{DIGEST}", "imageDigest": "d", "image": "e"}],
    "initContainerStatuses": [{"imageID": "f"}],
}


@pytest.mark.parametrize(
    ("obj", "named"),
    [
        ({"spec": CONTAINERS}, {"a", "b"}),
        ({"spec": {"template": {"spec": CONTAINERS}}}, {"a", "b"}),
        ({"spec": {}, "status": STATUSES}, {f"c@{DIGEST}", "d", "e", "f"}),
        ({"spec": {"template": None}, "status": None}, set()),
    ],
)
def test_an_object_names_the_images_of_its_spec_and_its_status(obj: Any, named: set[str]) -> None:
    assert {name for name in collection.named(obj) if name} == named


needs_skopeo = pytest.mark.needs("skopeo", "root")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


async def loaded(store: ImageStore, folder: Path, *names: str) -> None:
    """Images of that name, used a day and more ago, the first one longest ago; they share their lower layer."""
    for name in names:
        layout = images.build(folder / name, f"{name}:v1", [Entry("all", b"x")], [Entry("own", name.encode())])
        (found,) = await loading.load(store, layout.folder)
        used = NOW - (100 - names.index(name)) * HOUR
        os.utime(store.images / found.id, (used, used))


def full(*percents: float) -> Any:
    """The fullness at one look after another."""
    left: Iterator[float] = iter(percents)
    return lambda _: next(left)


def stored(store: ImageStore) -> set[str]:
    return {name.partition(":")[0].rpartition("/")[2] for image in store.all_images() for name in image.names}


@needs_skopeo
async def test_a_full_disk_gets_room_until_the_low_threshold(tmp_path: Path, store: ImageStore) -> None:
    await loaded(store, tmp_path, "used", "first", "second", "third")

    removed = await collection.collect(store, ["used:v1"], ImagesConfig(), NOW, fullness=full(90, 90, 85, 79))

    assert removed == ["docker.io/library/first:v1", "docker.io/library/second:v1"]
    assert stored(store) == {"used", "third"}
    kept = store.find("third:v1")
    assert kept is not None
    assert (kept.layers[-1] / "all").read_bytes() == b"x"


@needs_skopeo
async def test_a_disk_below_the_threshold_keeps_all_images(tmp_path: Path, store: ImageStore) -> None:
    await loaded(store, tmp_path, "first")

    assert await collection.collect(store, [], ImagesConfig(), NOW, fullness=full(84.9)) == []


@needs_skopeo
async def test_an_image_in_use_counts_as_used_now(tmp_path: Path, store: ImageStore) -> None:
    await loaded(store, tmp_path, "used")
    found = store.find("used:v1")
    assert found is not None

    for name in ("used:v1", f"other/name@{found.digest}", f"sha256:{found.id}", found.digest):
        os.utime(store.images / found.id, (NOW, NOW))
        await collection.collect(store, [name], ImagesConfig(image_maximum_gc_age=1.0), NOW, fullness=full(99))
        assert store.last_used(found) > NOW


@needs_skopeo
@pytest.mark.needs("docker-registry")
async def test_layers_of_an_interrupted_pull_are_used_again_and_removed_after_an_hour(
    tmp_path: Path, store: ImageStore
) -> None:
    lies = Lies()
    layout: ImageLayout = images.build(
        tmp_path / "app", "app:v1", [Entry("a", os.urandom(100_000))], [Entry("b", b"b")]
    )
    blobs = sorted((layout.folder / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    small = f"sha256:{blobs[0].name}"
    lies.bodies[small] = lies.half_then_nothing
    with lying(layout, lies) as reference, pytest.raises(PullError):
        await Puller(store, lambda: ImagesConfig(image_pull_progress_deadline=1.0)).pull(reference)
    now = max(path.stat().st_mtime for path in store.folder.rglob("layers.json"))
    left = list(store.unused_layers(now + HOUR))

    await collection.collect(store, [], ImagesConfig(), now + 10, fullness=full(10))
    assert list(store.unused_layers(now + HOUR)) == left
    await collection.collect(store, [], ImagesConfig(), now + 2 * HOUR, fullness=full(10))

    assert list(store.unused_layers(now + 3 * HOUR)) == []
    assert store.size == 0
    assert left


@needs_skopeo
async def test_the_layers_of_a_build_that_runs_stay(tmp_path: Path, store: ImageStore) -> None:
    await loaded(store, tmp_path, "base")
    found = store.find("base:v1")
    assert found is not None
    (store.images / "images.json").write_text("[]")
    containers = store.folder / "store" / "overlay-containers" / "containers.json"
    containers.write_text(json.dumps([{"id": "build", "layer": found.layers[0].parent.name}]))

    await collection.collect(store, [], ImagesConfig(), 2**40, fullness=full(99))
    assert all(layer.is_dir() for layer in found.layers)

    containers.write_text("[]")
    await collection.collect(store, [], ImagesConfig(), 2**40, fullness=full(99))
    assert not any(layer.exists() for layer in found.layers)


@needs_skopeo
async def test_an_image_that_cannot_be_removed_does_not_keep_others(
    tmp_path: Path, store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await loaded(store, tmp_path, "stuck", "other")
    stuck = store.find("stuck:v1")
    remove = removal.remove

    async def removed(store: ImageStore, image: StoredImage) -> None:
        if image == stuck:
            raise ImageError("in use by a build")
        await remove(store, image)

    monkeypatch.setattr(removal, "remove", removed)

    assert await collection.collect(store, [], ImagesConfig(image_maximum_gc_age=1.0), NOW, fullness=full(10)) == [
        "docker.io/library/other:v1"
    ]
