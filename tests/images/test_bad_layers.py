# SPDX-License-Identifier: Apache-2.0
"""Layers made to reach outside the store: pulled from a real registry with the real skopeo."""

import errno
import os
import secrets
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import images
from harness.images import Entry
from harness.registry import TestRegistry
from tidegate.images.errors import PullError
from tidegate.images.puller import Puller
from tidegate.images.store import ImageStore
from tidegate.images.stored import StoredImage
from tidegate.model.config import ImagesConfig

pytestmark = pytest.mark.needs("skopeo", "docker-registry", "root")

SECRET = b"outside the store\n"


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "home" / "images")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that no layer may read, replace or link."""
    path = tmp_path / "outside" / "file"
    path.parent.mkdir()
    path.write_bytes(SECRET)
    return path


async def pulled(store: ImageStore, registry: TestRegistry, folder: Path, *layers: Sequence[Entry]) -> StoredImage:
    reference = registry.push(images.build(folder, "bad:v1", *layers), f"bad/{secrets.token_hex(8)}:v1")
    return await Puller(store, ImagesConfig).pull(reference)


def layers_of(outside: Path) -> dict[str, list[Sequence[Entry]]]:
    up = "../" * 20
    place = str(outside)
    return {
        "an absolute path": [[Entry(place, b"replaced")]],
        "dots": [[Entry(f"{up}{place.lstrip('/')}", b"replaced")]],
        "dots in the middle": [[images.folder("a"), Entry(f"a/{up}{place.lstrip('/')}", b"replaced")]],
        "a hard link to the outside": [[Entry("link", kind=tarfile.LNKTYPE, link=place)]],
        "a hard link with dots": [[Entry("link", kind=tarfile.LNKTYPE, link=f"{up}{place.lstrip('/')}")]],
        "a hard link that is written": [[Entry("link", kind=tarfile.LNKTYPE, link=place), Entry("link", b"replaced")]],
        "a file through a symbolic link": [
            [images.symlink("link", str(outside.parent)), Entry("link/file", b"replaced")]
        ],
        "a file through a link of a lower layer": [
            [images.symlink("link", str(outside.parent))],
            [Entry("link/file", b"replaced")],
        ],
        "a folder that becomes a link": [
            [images.folder("a"), Entry("a/file", b"x")],
            [images.symlink("a", str(outside.parent)), Entry("a/file", b"replaced")],
        ],
        "a removal outside": [[Entry(f"{up}{outside.parent.as_posix().lstrip('/')}/.wh.file", b"")]],
        "a removal through a link": [[images.symlink("link", str(outside.parent)), Entry("link/.wh.file", b"")]],
        "a removal of all through a link": [
            [images.symlink("link", str(outside.parent)), Entry("link/.wh..wh..opq", b"")]
        ],
    }


@pytest.mark.parametrize("name", layers_of(Path("/x/y")))
async def test_a_layer_changes_nothing_outside_the_store(
    tmp_path: Path, plain: TestRegistry, store: ImageStore, outside: Path, name: str
) -> None:
    before = outside.stat()

    try:
        image = await pulled(store, plain, tmp_path / "bad", *layers_of(outside)[name])
    except PullError as error:
        assert error.reason == "ErrImagePull"
    else:
        for layer in image.layers:
            for path in layer.rglob("*"):
                assert path.is_symlink() or not path.is_file() or path.read_bytes() != SECRET
    after = outside.stat()
    assert (outside.read_bytes(), after.st_nlink, after.st_ino) == (SECRET, 1, before.st_ino)
    assert sorted(place.name for place in outside.parent.iterdir()) == ["file"]
    assert {place.name for place in store.folder.parent.iterdir()} == {"images"}


async def test_a_device_node_of_a_layer_cannot_be_opened(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    entries = [Entry("null", kind=tarfile.CHRTYPE, device=(1, 3), mode=0o666)]
    image = await pulled(store, plain, tmp_path / "bad", entries)
    root, work, upper = (tmp_path / name for name in ("root", "work", "upper"))
    for folder in (root, work, upper):
        folder.mkdir()
    lower = ":".join(str(layer) for layer in image.layers)
    subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", f"nodev,lowerdir={lower},upperdir={upper},workdir={work}", root],
        check=True,
    )
    try:
        with pytest.raises(OSError) as raised:
            os.open(root / "null", os.O_RDWR)
    finally:
        subprocess.run(["umount", root], check=True)
    assert raised.value.errno == errno.EACCES
    assert not store.folder.stat().st_mode & 0o077  # nobody else reaches the layers themselves


async def test_the_mode_of_the_root_folder_does_not_open_the_store(
    tmp_path: Path, plain: TestRegistry, store: ImageStore
) -> None:
    await pulled(store, plain, tmp_path / "bad", [images.folder("./", 0o777), Entry("app", b"x", 0o4755)])

    assert not store.folder.stat().st_mode & 0o077
