# SPDX-License-Identifier: Apache-2.0
"""The arguments of bubblewrap. Pure.

In: a `SandboxView`, the files that a container sees. Out: words for the launcher, which replaces each `--show MODE
PATH` by a bind of the path as the app's user opens it, and adds the program (`launcher/sandbox.cc`). Called by:
`sandbox.py`.

The order counts: a later mount covers an earlier one, and the root becomes read-only at the end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tidegate.model.text.host_paths import HostPath

_LONGEST_HOSTNAME = 63
_Operation = tuple[str, ...]
"""One operation of bubblewrap; its last word is the path in the sandbox."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file that Tidegate itself chose, mounted with Tidegate's rights."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class SandboxView:
    """`system`: folders of the host that every container sees at the same path; `system_links`: links of its root;
    `etc`: the folder that becomes /etc; `home`: the private home; `shown`, `links`: paths of the host that the app's
    user may see; `hidden`: folders below these that stay empty; `binds`: bundle, Python, volumes; `temporary`: the
    size of /tmp and of /dev/shm in bytes; `has_new_user`: whether the user who runs Tidegate needs a user namespace."""

    hostname: str
    system: Sequence[str]
    system_links: Sequence[tuple[str, str]]
    etc: str
    home: Bind
    shown: Sequence[HostPath]
    links: Sequence[tuple[str, str]]
    hidden: Sequence[str]
    binds: Sequence[Bind]
    temporary: int
    is_read_only: bool = False
    has_new_user: bool = False


def arguments(program: str, view: SandboxView) -> list[str]:
    """`program`: the path of bubblewrap."""
    made: set[str] = set()
    words = [program, *_namespaces(view)]
    for operation in (*_base(view), *_files(view)):
        words += _folders(operation[-1], made)
        words += operation
    return [*words, "--remount-ro", "/"]


def _folders(target: str, made: set[str]) -> Iterator[str]:
    """Make the folders above a target. bubblewrap would make them for their owner alone."""
    for folder in reversed(PurePosixPath(target).parents):
        if str(folder) not in made:
            made.add(str(folder))
            yield from ("--dir", str(folder))


def _namespaces(view: SandboxView) -> Iterator[str]:
    yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", view.hostname[:_LONGEST_HOSTNAME])
    if view.has_new_user:
        yield "--unshare-user"


def _base(view: SandboxView) -> Iterator[_Operation]:
    for folder in view.system:
        yield "--ro-bind", folder, folder
    for at, target in view.system_links:
        yield "--symlink", target, at
    yield "--ro-bind", view.etc, "/etc"
    yield "--proc", "/proc"
    yield "--ro-bind", "/proc/sys", "/proc/sys"  # an app that runs as root could write the host's core_pattern
    yield "--dev", "/dev"
    yield _temporary("/dev/shm", view.temporary)  # noqa: S108 - of the container
    yield "--remount-ro", "/dev"
    yield _temporary("/tmp", view.temporary)  # noqa: S108 - of the container
    yield "--dir", "/run"
    yield "--symlink", "/run", "/var/run"
    yield "--symlink", "/tmp", "/var/tmp"  # noqa: S108 - of the container


def _files(view: SandboxView) -> Iterator[_Operation]:
    yield _bind(view.home, writable=True)
    for path in view.shown:
        yield "--show", "rw" if path.writable and not view.is_read_only else "ro", path.path
    for at, target in view.links:
        yield "--symlink", target, at
    for folder in view.hidden:
        yield "--tmpfs", folder
    for bind in view.binds:
        yield _bind(bind, writable=bind.writable)
    for folder in view.hidden:
        yield "--remount-ro", folder
    if view.is_read_only:
        yield "--remount-ro", view.home.target
        yield "--remount-ro", "/tmp"  # noqa: S108 - of the container


def _temporary(folder: str, size: int) -> _Operation:
    return "--perms", "1777", "--size", str(size), "--tmpfs", folder


def _bind(bind: Bind, *, writable: bool) -> _Operation:
    return "--bind" if writable else "--ro-bind", bind.source, bind.target
