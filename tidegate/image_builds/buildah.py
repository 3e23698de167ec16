# SPDX-License-Identifier: Apache-2.0
"""buildah, which executes a Dockerfile and writes the image to Tidegate's own store.

In: a folder, a Dockerfile, the image's name. Out: the image as a reference by digest, which needs no registry. Called
by: `dockerfile.py`, `bundle_image.py`; `tidegate down`, for what killed builds left mounted.

Base images come from the same store, and from registries as config-images sets them up. A step of a build runs in a
container of runc or crun; if the host has neither, in a chroot.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.bundles import tools
from tidegate.bundles.tools import Messages, ToolError
from tidegate.images import loaded, registries, work_folder
from tidegate.images.reference import parse
from tidegate.images.store import ImageStore
from tidegate.images.stored import StoredImage
from tidegate.images.work_folder import WorkFolder
from tidegate.kit import mounts
from tidegate.model.config import ImagesConfig

PROGRAM = "buildah"
_RUNTIMES = ("runc", "crun")  # crun of some distributions rejects hosts with both versions of control groups
_POLICIES = ("/etc/containers/policy.json", "~/.config/containers/policy.json")
_ACCEPT_ANYTHING = '{"default": [{"type": "insecureAcceptAnything"}]}'
_STEP = "STEP "
_LOCK = "builds.lock"
_REGISTRIES = 'unqualified-search-registries = ["docker.io"]\n'  # short names are Docker's


class ImageBuildError(Exception):
    """An image cannot be built; the message is for the user. `lines`: the last ones that the tool wrote."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.lines = lines


@dataclass(frozen=True, slots=True)
class ImageBuild:
    """`context`: the folder that COPY reads; `file`: the Dockerfile; `tag`: the image's name in the store;
    `arguments`: values of the Dockerfile's ARGs; `target`: the stage to build, "" for the last."""

    context: Path
    file: Path
    tag: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str = ""


def missing() -> str:
    """Why no image can be built on this host; "" if images can be built."""
    if tools.find(PROGRAM) is None:
        return (
            "there is no buildah in PATH; install it (Debian, Ubuntu: apt install buildah; Fedora: dnf install buildah)"
        )
    if os.geteuid() != 0:
        return "images are built only if root runs Tidegate"
    return ""


def build(asked: ImageBuild, images: Path, config: ImagesConfig, messages: Messages) -> StoredImage:
    """Build an image into the store in `images`; `config`: for base images from registries. Raises
    `ImageBuildError`."""
    if problem := missing():
        raise ImageBuildError(f"{asked.file.name}: {problem}")
    store, reference = ImageStore(images), parse(asked.tag)
    with work_folder.opened(images, reference.full) as work, _building(images, work):
        id_file = work.path / "id"
        work.registries.write_text(_REGISTRIES + registries.render(config, "", registries.of_host()))
        variables = {"TMPDIR": str(work.temporary), "CONTAINERS_REGISTRIES_CONF": str(work.registries)}
        try:
            tools.run(
                [*_program(images, work), *_options(asked, reference.full, id_file), str(asked.context)],
                asked.context,
                {**tools.environment(), **variables},
                PROGRAM,
                lambda line: messages.progress(line) if line.startswith(_STEP) else None,
            )
            built = store.get(id_file.read_text().strip().removeprefix("sha256:"))
        except (ToolError, OSError) as error:
            raise ImageBuildError(f"{asked.file.name}: {error}", getattr(error, "lines", ())) from error
    if built is None:
        raise ImageBuildError(f"{PROGRAM} has built an image that is not in {images}")
    loaded.mark(store, reference, built)
    return built


def unmount_left(images: Path) -> None:
    """Remove the mounts that killed builds have left in the store, unless a build runs."""
    if not mounts.below(images):
        return
    handle = os.open(images / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with suppress(BlockingIOError, PermissionError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mounts.unmount_below(images)
    finally:
        os.close(handle)


@contextmanager
def _building(images: Path, work: WorkFolder) -> Iterator[None]:
    """Hold a lock that several builds share. A build that is alone first removes the containers of killed builds, which
    may still be mounted."""
    handle = os.open(images / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_containers(images, work)
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _remove_containers(images: Path, work: WorkFolder) -> None:
    left = images / "store" / "overlay-containers" / "containers.json"
    if left.is_file() and left.read_bytes().strip() not in (b"", b"[]", b"null"):
        arguments = [*_store_options(images), "rm", "--all"]
        tools.run([PROGRAM, *arguments], work.path, tools.environment(), f"{PROGRAM} rm")


def _store_options(images: Path) -> list[str]:
    store = ["--root", str(images / "store"), "--runroot", str(images / "run"), "--storage-driver", "overlay"]
    # Without `skip_mount_home` it would mount the folder on itself and leave it so.
    return [*store, "--storage-opt", "overlay.skip_mount_home=true"]


def _program(images: Path, work: WorkFolder) -> list[str]:
    options = [*_store_options(images), "build"]
    if not any(Path(each).expanduser().exists() for each in _POLICIES):  # without a policy it rejects every image
        policy = work.path / "policy.json"
        policy.write_text(_ACCEPT_ANYTHING)
        options += ["--signature-policy", str(policy)]
    return [PROGRAM, *options]


def _options(asked: ImageBuild, tag: str, id_file: Path) -> list[str]:
    runtime = next((path for path in map(tools.find, _RUNTIMES) if path is not None), None)
    isolation = ("--isolation", "oci", "--runtime", runtime) if runtime is not None else ("--isolation", "chroot")
    values = [word for name, value in asked.arguments.items() for word in ("--build-arg", f"{name}={value}")]
    target = ("--target", asked.target) if asked.target else ()
    return [
        *isolation,
        *("--network", "host", "--layers", "--force-rm", "--pull=missing", "--format", "oci"),
        *("--tag", tag, "--iidfile", str(id_file), "--file", str(asked.file)),
        *values,
        *target,
    ]
