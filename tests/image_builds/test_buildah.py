# SPDX-License-Identifier: Apache-2.0
"""Images from Dockerfiles and bundles, built by the real buildah into the store of Tidegate."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import images, registry
from harness.images import ImageLayout
from harness.registry import TestRegistry
from tests.bundles import world
from tidegate.bundles.tools import Messages
from tidegate.image_builds import buildah, bundle_image, dockerfile
from tidegate.image_builds.buildah import ImageBuild, ImageBuildError
from tidegate.image_builds.bundle_image import BundleImage
from tidegate.images import loading
from tidegate.images.resolver import Resolver
from tidegate.images.store import ImageStore
from tidegate.model.config import Configs, ImagesConfig

pytestmark = pytest.mark.needs("buildah", "skopeo", "busybox", "root")

_PYTHON = f"python3.{sys.version_info.minor}"
_DOCKERFILE = """
FROM base:1
ARG GREETING=none
RUN ["/bin/sh", "-c", "echo $GREETING > /greeting; id -u"]
COPY page /page
USER 1000
EXPOSE 80
CMD ["/bin/sh", "-c", "cat /greeting"]
"""
_FAILING = """
FROM base:1
RUN ["/bin/sh", "-c", "echo no good; exit 7"]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state folder with the image base:1 in its store."""
    folder = tmp_path / "home"
    folder.mkdir()
    load(folder, images.build(tmp_path / "base", "base:1", images.busybox()))
    return folder


@pytest.fixture
def plain_registry(tmp_path: Path) -> Iterator[TestRegistry]:
    with registry.running(tmp_path / "registry") as running:
        yield running


def load(home: Path, layout: ImageLayout) -> None:
    asyncio.run(loading.load(ImageStore(home / "images"), layout.folder))


def build(home: Path, folder: Path, arguments: dict[str, str] | None = None, progress: list[str] | None = None) -> str:
    """The id of the image of a folder with a Dockerfile."""
    file = dockerfile.of(folder)
    assert file is not None
    messages = Messages((progress if progress is not None else []).append)
    asked = ImageBuild(folder, file, "localhost/app:latest", arguments or {})
    return buildah.build(asked, home / "images", ImagesConfig(), messages).id


def test_an_image_from_a_dockerfile_is_in_the_store(home: Path, tmp_path: Path) -> None:
    folder = world.folder_of(tmp_path / "app", Dockerfile=_DOCKERFILE, page="hello", **{".dockerignore": "secret"})
    progress: list[str] = []

    built = ImageStore(home / "images").get(build(home, folder, {"GREETING": "ahoy"}, progress))

    assert built is not None
    assert built.names == ("localhost/app:latest",)
    assert (built.config.user, list(built.config.exposed_ports)) == ("1000", ["80/tcp"])
    assert any((layer / "page").is_file() for layer in built.layers)
    assert any((layer / "greeting").read_text() == "ahoy\n" for layer in built.layers if (layer / "greeting").exists())
    assert any(line.startswith("STEP 1/") for line in progress)


async def test_a_built_image_resolves_without_a_registry(home: Path, tmp_path: Path) -> None:
    folder = world.folder_of(tmp_path / "app", Dockerfile=_DOCKERFILE, page="hello")
    store = ImageStore(home / "images")
    built = store.get(build(home, folder))
    assert built is not None

    resolved = await Resolver(store, Configs).resolve("localhost/app:latest")

    assert resolved == f"localhost/app@{built.digest}"
    assert store.find(resolved) == built


@pytest.mark.needs("docker-registry")
def test_a_base_image_comes_from_the_mirror_of_config_images(
    home: Path, tmp_path: Path, plain_registry: TestRegistry
) -> None:
    plain_registry.push(images.build(tmp_path / "mirrored", "mirrored:1", images.busybox()), "mirrored:1")
    folder = world.folder_of(tmp_path / "app", Dockerfile="FROM registry.example/mirrored:1\nUSER 7\n")
    config = ImagesConfig(registry_mirrors=(("registry.example", plain_registry.address),))
    file = dockerfile.of(folder)
    assert file is not None

    built = buildah.build(ImageBuild(folder, file, "localhost/app"), home / "images", config, Messages(lambda _: None))

    assert built.config.user == "7"


def test_an_earlier_build_stays_under_its_digest(home: Path, tmp_path: Path) -> None:
    store = ImageStore(home / "images")
    folder = world.folder_of(tmp_path / "app", Dockerfile=_DOCKERFILE, page="one")
    first = store.get(build(home, folder))
    (folder / "page").write_text("two")

    second = store.get(build(home, folder))

    assert first is not None
    assert second is not None
    assert first.digest != second.digest
    assert store.find(f"localhost/app@{first.digest}") is not None
    assert store.find("localhost/app:latest") == second


def test_a_failed_step_is_reported_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    folder = world.folder_of(
        tmp_path / "app", Dockerfile='FROM base:1\nRUN ["/bin/sh", "-c", "echo no good; exit 7"]\n'
    )
    before = ImageStore(home / "images").all_images()

    with pytest.raises(ImageBuildError, match="exit code") as failure:
        build(home, folder)

    assert any("no good" in line for line in failure.value.lines)
    assert ImageStore(home / "images").all_images() == before
    assert list((home / "images" / "work").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_a_build_removes_the_containers_of_a_killed_build(home: Path, tmp_path: Path) -> None:
    subprocess.run([*_buildah(home), "from", "--pull=never", "base:1"], check=True, capture_output=True, timeout=60)
    folder = world.folder_of(tmp_path / "app", Dockerfile=_DOCKERFILE, page="one")

    build(home, folder)

    left = subprocess.run([*_buildah(home), "containers", "-q"], check=True, capture_output=True, timeout=60)
    assert left.stdout == b""


def test_an_image_of_a_bundle_starts_the_app_with_the_python_of_its_base(home: Path, tmp_path: Path) -> None:
    load(
        home,
        images.build(
            tmp_path / "python", "python-base:1", images.host_python(), [images.symlink(f"bin/{_PYTHON}", "python3")]
        ),
    )
    source = world.folder_of(
        tmp_path / "app",
        **{"Procfile": "web: python app.py $PORT", "app.py": "import sys; print(sys.prefix, sys.argv[1])"},
    )
    bundle = world.build(tmp_path, source)

    built = bundle_image.build(
        BundleImage(bundle, "localhost/app:v1", "python-base:1"),
        home / "images",
        ImagesConfig(),
        Messages(lambda _: None),
    )

    assert _run(home, built.id, built.config.cmd) == "/app/env 8080\n"


def _buildah(home: Path) -> list[str]:
    store = ("--root", f"{home}/images/store", "--runroot", f"{home}/images/run", "--storage-driver", "overlay")
    return ["buildah", *store, "--storage-opt", "overlay.skip_mount_home=true"]


def _run(home: Path, image: str, command: tuple[str, ...]) -> str:
    def output(*arguments: str) -> str:
        return subprocess.run(
            [*_buildah(home), *arguments], check=True, capture_output=True, text=True, timeout=60
        ).stdout

    container = output("from", "--pull=never", image).strip()
    try:
        return output("run", "--isolation", "chroot", container, "--", *command)
    finally:
        output("rm", container)
