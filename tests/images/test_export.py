# SPDX-License-Identifier: Apache-2.0
"""Images leave the store as archives and to registries, and come back the same."""

from pathlib import Path

import pytest

from harness import images
from harness.registry import TestRegistry
from tidegate.images import export, loading
from tidegate.images.errors import ImageError
from tidegate.images.puller import Puller
from tidegate.images.reference import parse
from tidegate.images.registry import Registry
from tidegate.images.store import ImageStore
from tidegate.images.stored import StoredImage
from tidegate.model.config import ImagesConfig

pytestmark = pytest.mark.needs("skopeo", "docker-registry", "busybox", "root")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


async def loaded(store: ImageStore, tmp_path: Path) -> StoredImage:
    (image,) = await loading.load(store, images.build(tmp_path / "app", "app:v1", images.busybox()).folder)
    return image


async def test_a_saved_image_is_loaded_as_it_was(store: ImageStore, tmp_path: Path) -> None:
    image = await loaded(store, tmp_path)

    await export.save(store, image, parse("app:v2"), tmp_path / "app.tar")

    (again,) = await loading.load(ImageStore(tmp_path / "other"), tmp_path / "app.tar")
    assert (again.names, again.id) == (("docker.io/library/app:v2",), image.id)


async def test_a_file_is_not_replaced(store: ImageStore, tmp_path: Path) -> None:
    image = await loaded(store, tmp_path)
    (tmp_path / "app.tar").write_text("mine")

    with pytest.raises(ImageError, match="exists"):
        await export.save(store, image, parse("app:v1"), tmp_path / "app.tar")

    assert (tmp_path / "app.tar").read_text() == "mine"


async def test_a_pushed_image_can_be_pulled(store: ImageStore, plain: TestRegistry, tmp_path: Path) -> None:
    image = await loaded(store, tmp_path)
    name = parse(f"{plain.address}/exported/app:v1")

    digest = await export.push(store, Registry(store.folder, ImagesConfig), image, name)

    pulled = await Puller(ImageStore(tmp_path / "other"), ImagesConfig).pull(name.at(digest))
    assert pulled.id == image.id
