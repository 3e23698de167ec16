# SPDX-License-Identifier: Apache-2.0
"""Images from files, by the real skopeo."""

import gzip
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from harness import images
from harness.images import Entry, ImageLayout
from harness.registry import TestRegistry
from tests.cli.world import invoke
from tidegate.images import loading
from tidegate.images.errors import ImageError
from tidegate.images.puller import Puller
from tidegate.images.resolver import Resolver
from tidegate.images.store import ImageStore
from tidegate.model.config import Configs, ImagesConfig
from tidegate.settings import Settings

pytestmark = pytest.mark.needs("skopeo", "root")

FULL = "docker.io/library/app:v1"


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "home" / "images")


@pytest.fixture
def layout(tmp_path: Path) -> ImageLayout:
    return images.build(tmp_path / "app", "app:v1", [Entry("a", b"a")], [Entry("b", b"b")], env={"A": "b"})


def docker_archive(layout: ImageLayout, path: Path, *names: str) -> Path:
    """The image as `docker save` writes it."""
    first, *others = names
    more = [word for name in others for word in ("--additional-tag", name)]
    source, target = f"oci:{layout.folder}:{layout.name}", f"docker-archive:{path}:{first}"
    subprocess.run(["skopeo", "--insecure-policy", "copy", "--quiet", *more, source, target], check=True)
    return path


async def test_the_folder_of_an_oci_layout_is_loaded(store: ImageStore, layout: ImageLayout) -> None:
    (image,) = await loading.load(store, layout.folder)

    assert (image.names, image.digest, image.config.env) == ((FULL,), layout.digest, {"A": "b"})


async def test_an_oci_archive_is_loaded(tmp_path: Path, store: ImageStore, layout: ImageLayout) -> None:
    (image,) = await loading.load(store, layout.archive(tmp_path / "app.tar"))

    assert (image.names, image.digest) == ((FULL,), layout.digest)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
async def test_a_docker_archive_is_loaded_with_all_its_names(
    tmp_path: Path, store: ImageStore, layout: ImageLayout, compressed: bool
) -> None:
    path = docker_archive(layout, tmp_path / "app.tar", "app:v1", "ghcr.io/o/app:v2")
    if compressed:
        path = tmp_path / "app.tar.gz"
        path.write_bytes(gzip.compress((tmp_path / "app.tar").read_bytes()))

    loaded = await loading.load(store, path)

    assert set(loaded[-1].names) == {FULL, "ghcr.io/o/app:v2"}
    assert len(store.all_images()) == 1


async def test_several_images_of_a_layout_are_loaded(tmp_path: Path, store: ImageStore, layout: ImageLayout) -> None:
    other = images.build(tmp_path / "other", "other:v1", [Entry("c", b"c")])
    shutil.copytree(other.folder / "blobs", layout.folder / "blobs", dirs_exist_ok=True)
    indexes = [json.loads((each.folder / "index.json").read_text()) for each in (layout, other)]
    merged = {**indexes[0], "manifests": [each for index in indexes for each in index["manifests"]]}
    (layout.folder / "index.json").write_text(json.dumps(merged))

    await loading.load(store, layout.folder)

    assert store.find("app:v1") != store.find("other:v1")
    with pytest.raises(ImageError, match="has 2 images: a name can be given to one only"):
        await loading.load(store, layout.folder, "third:v1")


async def test_a_name_replaces_the_one_in_the_file(store: ImageStore, layout: ImageLayout) -> None:
    (image,) = await loading.load(store, layout.folder, "other:v2")

    assert image.names == ("docker.io/library/other:v2",)


async def test_a_loaded_image_needs_no_registry(store: ImageStore, layout: ImageLayout) -> None:
    (image,) = await loading.load(store, layout.folder, "registry.invalid/app:latest")
    puller = Puller(store, ImagesConfig)

    resolved = await Resolver(store, Configs).resolve("registry.invalid/app")

    assert resolved == f"registry.invalid/app@{layout.digest}"
    for reference in (resolved, "registry.invalid/app", "registry.invalid/app:latest"):
        for policy in ("", "Never", "IfNotPresent"):
            assert (await puller.pull(reference, policy)).id == image.id
    assert (await puller.pull("registry.invalid/app", "Always")).id == image.id


async def test_the_layers_of_two_images_are_stored_once(tmp_path: Path, store: ImageStore, layout: ImageLayout) -> None:
    other = images.build(tmp_path / "other", "other:v1", [Entry("a", b"a")], [Entry("c", b"c")])

    (first,) = await loading.load(store, layout.folder)
    (second,) = await loading.load(store, other.folder)

    assert first.layers[-1] == second.layers[-1]
    assert first.layers[0] != second.layers[0]


async def test_an_image_for_another_kind_of_machine_is_not_loaded(tmp_path: Path, store: ImageStore) -> None:
    foreign = images.build(tmp_path / "foreign", "app:v1", [Entry("a", b"a")], architecture="s390x")

    with pytest.raises(ImageError, match="the image is for linux/s390x; this machine runs linux/"):
        await loading.load(store, foreign.folder)

    assert store.all_images() == []


def broken_files(folder: Path, layout: ImageLayout) -> dict[str, Path]:
    whole = layout.archive(folder / "whole.tar")
    (folder / "text").write_text("hello")
    (folder / "cut.tar").write_bytes(whole.read_bytes()[:2000])
    (folder / "cut.tar.gz").write_bytes(gzip.compress(whole.read_bytes())[:300])
    with tarfile.open(folder / "other.tar", "w") as archive:
        archive.add(folder / "text", "hello.txt")
    (folder / "empty").mkdir()
    for name, index in (("no-json", "{"), ("no-list", '{"manifests": 3}'), ("no-image", '{"manifests": []}')):
        shutil.copytree(layout.folder, folder / name)
        (folder / name / "index.json").write_text(index)
    shutil.copytree(layout.folder, folder / "no-blobs")
    shutil.rmtree(folder / "no-blobs" / "blobs")
    shutil.copytree(layout.folder, folder / "no-name")
    unnamed = json.loads((layout.folder / "index.json").read_text())
    del unnamed["manifests"][0]["annotations"]
    (folder / "no-name" / "index.json").write_text(json.dumps(unnamed))
    return {path.name: path for path in folder.iterdir()} | {"missing": folder / "nothing-there"}


@pytest.mark.parametrize(
    "name",
    [
        *("text", "cut.tar", "cut.tar.gz", "other.tar", "empty", "no-json", "no-list", "no-image", "no-blobs"),
        *("no-name", "missing"),
    ],
)
def test_a_file_without_an_image_is_an_error_of_one_line(tmp_path: Path, layout: ImageLayout, name: str) -> None:
    (tmp_path / "files").mkdir()
    path = broken_files(tmp_path / "files", layout)[name]

    answer = invoke("image", "load", str(path), home=tmp_path / "home")

    assert (answer.code, answer.out) == (1, "")
    last = answer.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert len([line for line in answer.err.splitlines() if line.startswith("error: ")]) == 1
    assert ImageStore(Settings(tmp_path / "home").images).all_images() == []


def test_the_commands_load_list_and_remove_an_image(tmp_path: Path, layout: ImageLayout) -> None:
    home = tmp_path / "home"

    loaded = invoke("image", "load", str(layout.folder), home=home)
    listed = invoke("image", "ls", home=home)
    listing = json.loads(invoke("image", "ls", "-o", "json", home=home).out)
    removed = invoke("image", "rm", "app:v1", home=home)
    again = invoke("image", "rm", "app:v1", home=home)

    assert (loaded.code, loaded.out) == (0, f"{FULL}\n")
    assert listed.out.splitlines()[0].split() == ["NAME", "DIGEST", "SIZE", "USED", "IN", "USE"]
    assert listed.out.splitlines()[1].split()[:2] == [FULL, layout.digest]
    (image,) = listing["images"]
    assert (image["names"], image["digest"], image["inUse"], listing["pulls"]) == ([FULL], layout.digest, None, [])
    assert removed.out == f"{FULL} removed\n"
    assert (again.code, again.err) == (1, "error: there is no image app:v1 on this host\n")
    assert list((home / "images" / "store" / "overlay").glob("[0-9a-f]*")) == []


@pytest.mark.needs("docker-registry")
def test_the_pull_command_prints_the_digest_and_its_progress(
    tmp_path: Path, plain: TestRegistry, layout: ImageLayout
) -> None:
    home = tmp_path / "home"
    reference = plain.push(layout, "command/app:v1")

    pulled = invoke("image", "pull", reference, home=home)
    missing = invoke("image", "pull", f"{reference}2", home=home)

    assert (pulled.code, pulled.out) == (0, f"{reference.removesuffix(':v1')}@{layout.digest}\n")
    assert pulled.err.splitlines()[0] == f"pulling {reference}"
    assert (missing.code, missing.out) == (1, "")
    assert "manifest unknown" in missing.err


def test_a_misspelt_name_is_an_error(tmp_path: Path) -> None:
    answer = invoke("image", "pull", "UPPER", home=tmp_path / "home")

    assert (answer.code, "repository name must be lowercase" in answer.err) == (1, True)
