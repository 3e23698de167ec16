# SPDX-License-Identifier: Apache-2.0
"""The root file system of a container: the layers of its image, read-only, under a folder that it writes to.

In: the layers. Out: an overlay mounted on this host. Once the container exists it has the mount in its own mount
namespace, and the one on this host is removed, so that nothing is left when everything is killed. Called by:
`creation.py`.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tidegate.kit import inside, mounts
from tidegate.node.runtimes.oci.accounts import Accounts

_MOST_BYTES = 2**20  # of an image's passwd or group
_PATH = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def mounted(layers: Sequence[Path], folder: Path) -> Iterator[Path]:
    """The root file system, in `folder`, which gets what the container writes. Raises `OSError`."""
    upper, work, root, empty = (folder / name for name in ("upper", "work", "root", "empty"))
    for made in (upper, work, root, empty):
        made.mkdir(exist_ok=True)
    upper.chmod(0o755)  # the container's /
    with ExitStack() as opened:
        # By descriptors: the kernel takes one page of options, and the paths of 127 layers are longer.
        numbers = [_opened(opened, layer) for layer in layers or (empty,)]
        lower = ":".join(f"/proc/self/fd/{number}" for number in numbers)
        paths = f"lowerdir={lower},upperdir=/proc/self/fd/{_opened(opened, upper)}"
        options = f"{paths},workdir=/proc/self/fd/{_opened(opened, work)}"
        _mount(root, options)
    try:
        yield root
    finally:
        mounts.unmount(root)


def accounts(root: int) -> Accounts:
    """The accounts of an image. `root`: its open root folder."""
    return Accounts(
        inside.read_inside(root, "etc/passwd", _MOST_BYTES).decode(errors="replace"),
        inside.read_inside(root, "etc/group", _MOST_BYTES).decode(errors="replace"),
    )


def make_directory(root: int, path: str) -> None:
    """The working directory, if the image lacks it. A path through something that is no folder is left to the runtime,
    which reports it."""
    with suppress(OSError):
        os.close(inside.make_folder(root, path))


@contextmanager
def opened_root(root: Path) -> Iterator[int]:
    handle = os.open(root, _PATH)
    try:
        yield handle
    finally:
        os.close(handle)


def _mount(root: Path, options: str) -> None:
    """Without synchronous writes where the kernel has that (Linux 5.10): the files do not outlive the container."""
    try:
        mounts.mount("overlay", root, f"{options},volatile", mounts.NO_DEVICES)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        mounts.mount("overlay", root, options, mounts.NO_DEVICES)


def _opened(stack: ExitStack, folder: Path) -> int:
    handle = os.open(folder, _PATH)
    stack.callback(os.close, handle)
    return handle
