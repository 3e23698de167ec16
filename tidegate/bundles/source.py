# SPDX-License-Identifier: Apache-2.0
"""The files of an app's folder that make up its bundle, and the digest that names them.

In: a folder, and what of it is to be packed by name. Out: a `Source`: its files in order, each with the hash of what it
is, and what was left out (`packing`). Raises `SourceError`, one sentence for the user.

The digest is SHA-256 over each file's path, kind, executable bit and content, so that no two trees read the same.
Times, owners and other bits of the mode do not count, nor are they copied: files become 0644 or 0755.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from tidegate.bundles.links import problem_of
from tidegate.bundles.packing import Entry, Packing

MOST_FILES = 20_000
MOST_BYTES = 512 * 2**20
DEEPEST = 100

_FORMAT = b"tidegate bundle 2\n"
"""Changes when the same source is built into something else, so that it is not taken for what was built before."""

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_CHUNK = 2**20


class SourceError(Exception):
    """The folder cannot be made into a bundle."""


class LeftOut(NamedTuple):
    """An entry that is not packed, and why: a word of `packing`, or the name of the ignore file."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Source:
    """The files of `folder` that are packed, by path relative to it, in order; symbolic links are files."""

    folder: Path
    files: Mapping[str, bytes]  # the hash of what each is
    left_out: Sequence[LeftOut] = ()

    @classmethod
    def of(cls, folder: Path, include: Sequence[str] = ()) -> "Source":
        if not folder.is_dir():
            raise SourceError(f"{shown(folder)} is not a folder")
        left_out: list[LeftOut] = []
        packing = Packing.of(folder, [_included(folder, path) for path in include])
        paths = sorted(_paths(folder, packing, left_out))
        if not paths:
            raise SourceError(f"{shown(folder)} holds no file")
        return cls(folder, {path: _identity(folder, path) for path in paths}, left_out)

    def has(self, path: str) -> bool:
        return path in self.files

    def has_folder(self, path: str) -> bool:
        return any(each.startswith(f"{path}/") for each in self.files)

    def text(self, path: str) -> str:
        try:
            return (self.folder / path).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise SourceError(f"{path} is not UTF-8 text") from error

    def digest(self) -> str:
        whole = hashlib.sha256(_FORMAT)
        for path, identity in self.files.items():
            name = os.fsencode(path)
            whole.update(b"%d:%s%d:%s" % (len(name), name, len(identity), identity))
        return whole.hexdigest()

    def copy(self, target: Path) -> None:
        """Copy the files as they were when they were hashed. Raises `SourceError` where one has changed."""
        for path, identity in self.files.items():
            copied = target / path
            copied.parent.mkdir(parents=True, exist_ok=True)
            if _identity(self.folder, path, copied) != identity:
                raise SourceError(f"{shown(path)} has changed while it was packed; try again when nothing writes to it")


def shown(path: Path | str) -> str:
    """A path for a message: on one line, whatever bytes it has, and cut in the middle where it is very long."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return text if len(text) <= 200 else f"{text[:80]}...{text[-80:]}"


def _included(folder: Path, path: str) -> str:
    pure = PurePosixPath(os.path.normpath(path))
    if pure.is_absolute() or ".." in pure.parts or not os.path.lexists(folder / pure):
        raise SourceError(f"--include {shown(path)}: there is no such file or folder in {shown(folder)}")
    return str(pure)


def _paths(folder: Path, packing: Packing, left_out: list[LeftOut]) -> Iterator[str]:
    """The packed paths, in no order; folders are read one after the other, however deep they are."""
    files, size = 0, 0
    waiting = [("", packing)]
    while waiting:
        below, rules = waiting.pop()
        for entry, found in _entries(folder, below):
            why = rules.why_not(entry, folder / entry.path)
            if entry.folder and (not why or rules.enters(entry.path, why)):
                waiting.append((entry.path, rules.below(entry.path, folder / entry.path, why)))
            elif why:
                left_out.append(LeftOut(entry.path + "/" * entry.folder, why))
            else:
                _check(folder, entry.path, found)
                files, size = files + 1, size + found.st_size
                _check_size(folder, files, size)
                yield entry.path


def _entries(folder: Path, below: str) -> Iterator[tuple[Entry, os.stat_result]]:
    if below.count("/") >= DEEPEST:
        raise SourceError(f"{shown(below)} is more than {DEEPEST} folders deep")
    with _readable(below or folder):
        entries = list(os.scandir(folder / below))
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        with _readable(path):
            found = entry.stat(follow_symlinks=False)
        yield Entry(path, entry.name, stat.S_ISDIR(found.st_mode)), found


def _check(folder: Path, path: str, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        with _readable(path):
            problem = problem_of(folder, path)
        if problem:
            raise SourceError(f"the link {shown(path)} {problem}; replace it by what it stands for, or {_ADVICE}")
        return
    kind = next((name for is_one, name in _KINDS if is_one(found.st_mode)), None)
    if kind is not None:
        raise SourceError(f"{shown(path)} is {kind}, which a bundle cannot have; remove it, or {_ADVICE}")


def _check_size(folder: Path, files: int, size: int) -> None:
    if files > MOST_FILES:
        raise SourceError(f"{shown(folder)} holds more than {MOST_FILES} files; {_ADVICE}")
    if size > MOST_BYTES:
        raise SourceError(f"{shown(folder)} holds more than {MOST_BYTES // 2**20} MiB; {_ADVICE}")


_ADVICE = "leave out what the app does not need with .gitignore"


def _identity(folder: Path, path: str, copied: Path | None = None) -> bytes:
    """The hash of what a file is now, which is also copied where it says so."""
    with _readable(path):
        if (folder / path).is_symlink():
            target = (folder / path).readlink()
            if copied is not None:
                with _readable(path, copied):
                    copied.symlink_to(target)
            return hashlib.sha256(b"link\n" + os.fsencode(target)).digest()
        # A pipe that has taken its place meanwhile must not keep us waiting.
        handle = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as content, _readable(path, copied):
        return _hash(content, path, copied)


def _hash(content: BinaryIO, path: str, copied: Path | None) -> bytes:
    found = os.fstat(content.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise SourceError(f"{shown(path)} has changed while it was packed")
    program = bool(found.st_mode & stat.S_IXUSR)
    whole = hashlib.sha256(b"program\n" if program else b"file\n")
    if copied is None:
        for chunk in iter(lambda: content.read(_CHUNK), b""):
            whole.update(chunk)
        return whole.digest()
    with copied.open("xb") as target:
        for chunk in iter(lambda: content.read(_CHUNK), b""):
            whole.update(chunk)
            target.write(chunk)
        os.fchmod(target.fileno(), 0o755 if program else 0o644)
    os.utime(copied, ns=(found.st_atime_ns, found.st_mtime_ns))
    return whole.digest()


@contextmanager
def _readable(path: Path | str, copied: Path | None = None) -> Iterator[None]:
    """`copied`: where it is copied to, which may be what fails."""
    try:
        yield
    except OSError as error:
        what = "read" if copied is None else f"copied to {copied}"
        raise SourceError(f"{shown(path)} cannot be {what}: {error.strerror}") from error
