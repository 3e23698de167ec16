# SPDX-License-Identifier: Apache-2.0
"""The paths of this host that a sandboxed program sees beyond those of every sandbox, so that manifests which were
written for a process without a sandbox keep working.

In: a program with its arguments, variables and working folder, and the paths that its annotation names. Out:
`Visible`: paths to show, and symbolic links to make again. Called by: `sandbox.py`.

| the manifest names | the app sees |
| --- | --- |
| `workingDir` | that folder, writable |
| a folder in `command`, `args` or a variable | that folder, writable |
| a file there | its folder, read-only; in a home, `/etc` and the like the file alone |
| a program | its folder, interpreter and toolchain, read-only (`toolchains.py`) |
| the annotation `tidegate.dev/sandbox-paths` | those paths, read-only or writable as they say |

Nothing below `/proc`, `/sys`, `/dev`, `/run` or in the state folder is shown because it is named, and no home as a
whole. "Writable" never exceeds the rights of the app's user: the launcher opens each path as that user.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidegate.model.text.host_paths import HostPath
from tidegate.node.runtimes.process import toolchains

_WORDS = re.compile(r"""[\s'"=;:|&<>(),?]+""")
_SLASHES = re.compile("/+")
_OTHER_VARIABLES = ("PATH", "HOME", "TMPDIR")
_MOST_WORDS, _MOST_LINKS, _LONGEST = 512, 40, 4096
_NEVER = ("/proc", "/sys", "/dev", "/run", "/var/run")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
_SEEN = (*_SYSTEM, "/opt")
"""Every sandbox has these, read-only."""


@dataclass(frozen=True, slots=True)
class Visible:
    """`paths`: without links, each below the ones before it or beside them; `links`: path and target."""

    paths: tuple[HostPath, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """What a manifest says of a program. `bundle`: its folder, which is shown in any case."""

    program: Sequence[str]
    variables: Mapping[str, str]
    directory: Path
    bundle: Path | None = None


def visible(named: Named, annotated: Sequence[HostPath], hidden: Path, home: Path | None) -> Visible:
    """`annotated`: the paths of the annotation; `hidden`: the state folder; `home`: the home whose toolchains are
    shown, if there is one."""
    chosen: dict[str, bool] = {}
    links: dict[str, str] = {}
    for wanted in (*_wanted(named, home), *annotated):
        real = follow(wanted.path, links)
        seen = _SYSTEM if wanted.writable else _SEEN
        if os.path.lexists(real) and not _is_below(real, (str(hidden), *seen)):
            chosen[real] = chosen.get(real, False) or wanted.writable
    paths = _without_repeats(HostPath(path, chosen[path]) for path in sorted(chosen))
    shown = (*_SEEN, *(path.path for path in paths))
    made = tuple((at, links[at]) for at in sorted(links) if not _is_below(at, shown))
    return Visible(paths, made)


def follow(path: str, links: dict[str, str]) -> str:
    """The path without symbolic links. Each link on the way is added to `links`, by its own path without links."""
    waiting, done, followed = [part for part in reversed(path.split("/")) if part], "/", 0
    while waiting and followed < _MOST_LINKS:
        part = waiting.pop()
        if part in (".", ".."):
            done = os.path.normpath(f"{done}/{part}")
            continue
        here = f"{done.rstrip('/')}/{part}"
        try:
            target = os.readlink(here)  # noqa: PTH115 - a Path would drop what makes the target relative
        except OSError:
            done = here
            continue
        links[here] = target
        followed += 1
        waiting += [each for each in reversed(target.split("/")) if each]
        done = "/" if target.startswith("/") else done
    return "/".join((done.rstrip("/"), *reversed(waiting))) or "/"


def _wanted(named: Named, home: Path | None) -> Iterator[HostPath]:
    directory = named.directory
    if not toolchains.is_wide(directory):
        yield HostPath(str(directory), True)
    path = named.variables.get("PATH", "")
    for place in toolchains.places(named.program[0], directory, path):
        yield HostPath(str(place))
    for folder in path.split(":"):
        if folder.startswith("/") and not toolchains.is_wide(Path(folder)):
            yield HostPath(folder)
    for place in toolchains.in_home(home) if home is not None else ():
        yield HostPath(str(place))
    yield from _mentioned(named)


def _mentioned(named: Named) -> Iterator[HostPath]:
    """Paths in the arguments and variables. A relative argument counts only if the working folder is not shown."""
    values = [value for name, value in named.variables.items() if name not in _OTHER_VARIABLES]
    words = [word for text in (*named.program, *values) for word in _WORDS.split(text) if word.startswith("/")]
    if toolchains.is_wide(named.directory):
        words += [word for word in named.program if word and not word.startswith(("/", "-"))]
    for word in words[:_MOST_WORDS]:
        at = Path(os.path.normpath(named.directory / _SLASHES.sub("/", word)))
        if len(word) > _LONGEST or "\0" in word or _is_below(str(at), _NEVER):
            continue
        with suppress(OSError):  # a word that is too long for a name
            if at.is_dir():
                if not toolchains.is_wide(at):
                    yield HostPath(str(at), True)
            elif at.is_file():
                yield HostPath(str(at.parent if not toolchains.is_wide(at.parent) else at))


def _without_repeats(paths: Iterable[HostPath]) -> tuple[HostPath, ...]:
    """Without each path that one before it shows already, as writable as it is to be."""
    kept: list[HostPath] = []
    for path in paths:
        around = [other for other in kept if _is_below(path.path, (other.path,))]
        if not around or (path.writable and not around[-1].writable):
            kept.append(path)
    return tuple(kept)


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
