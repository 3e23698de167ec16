# SPDX-License-Identifier: Apache-2.0
"""The files of an app's folder that make up its bundle, and the digest that names them.

In: a folder. Out: a `Source`: its files in order, without what no app needs (.git, caches, virtual environments) and
what its own .gitignore leaves out. Raises `SourceError`, one sentence for whoever called.

The digest is SHA-256 over each file's path, kind, executable bit and content, with lengths, so that no two trees read
the same. Times and owners do not count.
"""

import fnmatch
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

MOST_FILES = 20_000
MOST_BYTES = 512 * 2**20

_NEVER = frozenset(
    (
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".idea",
        ".DS_Store",
        ".tidegate",
    )
)


class SourceError(Exception):
    """The folder cannot be made into a bundle."""


class Ignore(NamedTuple):
    """One line of .gitignore."""

    pattern: str
    kept: bool  # the line begins with "!"
    folders_only: bool
    anchored: bool

    def matches(self, path: PurePosixPath, *, folder: bool) -> bool:
        if self.folders_only and not folder:
            return False
        return fnmatch.fnmatchcase(str(path) if self.anchored else path.name, self.pattern)


@dataclass(frozen=True, slots=True)
class Source:
    """The files of `folder`, by path relative to it, in order; symbolic links are files."""

    folder: Path
    files: Sequence[PurePosixPath]

    @classmethod
    def of(cls, folder: Path) -> "Source":
        if not folder.is_dir():
            raise SourceError(f"{folder} is not a folder")
        files = sorted(_files(folder, PurePosixPath(), _ignored(folder)))
        if not files:
            raise SourceError(f"{folder} holds no file")
        _check(folder, files)
        return cls(folder, files)

    def digest(self) -> str:
        whole = hashlib.sha256()
        for path in self.files:
            for part in _identity(self.folder / path, str(path)):
                whole.update(b"%d:" % len(part))
                whole.update(part)
        return whole.hexdigest()

    def copy(self, target: Path) -> None:
        for path in self.files:
            copied = target / path
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.folder / path, copied, follow_symlinks=False)


def _ignored(folder: Path) -> list[Ignore]:
    try:
        lines = (folder / ".gitignore").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        text = line.rstrip()
        if not text or text.startswith("#"):
            continue
        pattern = text.removeprefix("!")
        bare = pattern.rstrip("/")
        found.append(Ignore(bare.lstrip("/"), text != pattern, bare != pattern, "/" in bare))
    return found


def _files(folder: Path, below: PurePosixPath, ignored: Sequence[Ignore]) -> Iterator[PurePosixPath]:
    for entry in list(os.scandir(folder / below)):
        path = below / entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name in _NEVER or _is_ignored(path, ignored, folder=is_folder):
            continue
        if is_folder:
            yield from _files(folder, path, ignored)
        elif entry.is_symlink() or entry.is_file():
            yield path
        else:
            raise SourceError(f"{folder / path} is neither a file nor a folder")


def _is_ignored(path: PurePosixPath, ignored: Sequence[Ignore], *, folder: bool) -> bool:
    """The last line that matches decides."""
    last = next((line for line in reversed(ignored) if line.matches(path, folder=folder)), None)
    return last is not None and not last.kept


def _check(folder: Path, files: Sequence[PurePosixPath]) -> None:
    if len(files) > MOST_FILES:
        told = f"{folder} holds {len(files)} files; a bundle may have {MOST_FILES}"
        raise SourceError(f"{told}: leave out what the app does not need with .gitignore")
    size = sum((folder / path).lstat().st_size for path in files)
    if size > MOST_BYTES:
        told = f"{folder} holds {size // 2**20} MiB; a bundle may have {MOST_BYTES // 2**20}"
        raise SourceError(f"{told}: leave out what the app does not need with .gitignore")


def _identity(file: Path, path: str) -> Iterator[bytes]:
    yield os.fsencode(path)
    if file.is_symlink():
        yield b"link"
        yield os.fsencode(file.readlink())
        return
    yield b"program" if file.stat().st_mode & stat.S_IXUSR else b"file"
    with file.open("rb") as content:
        yield hashlib.file_digest(content, "sha256").digest()
