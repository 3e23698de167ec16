# SPDX-License-Identifier: Apache-2.0
"""What Docker leaves out of a folder: its .dockerignore.

In: a folder with that file. Out: `DockerIgnore`. It is not .gitignore: there is one file, each pattern begins at the
top, `**` stands for any number of folders, a pattern counts for all that is in a folder too, and a line with "!" takes
files back from a folder that is left out. Rule: github.com/moby/patternmatcher.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

_TOKEN = re.compile(r"\*\*/?|\*|\?|\\.|\[\^?(?:\\.|[^\]\\])+\]|.", re.DOTALL)


class DockerPattern(NamedTuple):
    """One line that says something."""

    pattern: re.Pattern[str]
    kept: bool  # it begins with "!"

    def matches(self, path: str) -> bool:
        """Whether it names the entry or a folder that it is in."""
        return any(self.pattern.fullmatch(each) for each in _with_folders(path))


@dataclass(frozen=True, slots=True)
class DockerIgnore:
    """The lines of one .dockerignore."""

    lines: Sequence[DockerPattern]
    name: str = ".dockerignore"

    @classmethod
    def of(cls, folder: Path) -> Self:
        text = (folder / ".dockerignore").read_bytes().removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
        return cls([line for each in text.split("\n") if (line := _line(each)) is not None])

    def ignores(self, path: str, *, folder: bool) -> bool:
        ignored = False
        for line in self.lines:
            if line.kept == ignored and line.matches(path):
                ignored = not line.kept
        return ignored

    def may_keep_below(self, _path: str) -> bool:
        return any(line.kept for line in self.lines)

    def below(self, _path: str, _folder: Path) -> Self:
        return self


def _line(text: str) -> DockerPattern | None:
    """None for a comment, for an empty line, and for a pattern that Docker would not read either."""
    if text.startswith("#") or not text.strip():
        return None
    stripped = text.strip()
    kept = stripped.startswith("!")
    pattern = posixpath.normpath(stripped.removeprefix("!").strip()).lstrip("/")
    if pattern in ("", "."):
        return None
    try:
        return DockerPattern(re.compile("".join(_translated(pattern)), re.DOTALL), kept)
    except re.error:
        return None


def _translated(pattern: str) -> Iterator[str]:
    for found in _TOKEN.finditer(pattern):
        glob = found[0]
        if glob == "**/":
            yield "(?:.*/)?"
        elif glob == "**":
            yield ".*"
        elif glob == "*":
            yield "[^/]*"
        elif glob == "?":
            yield "[^/]"
        elif len(glob) > 1 and glob[0] == "[":
            yield glob.replace("[[", "[\\[")
        else:
            yield re.escape(glob.removeprefix("\\") or "\\")


def _with_folders(path: str) -> Iterator[str]:
    yield path
    while (path := path.rpartition("/")[0]) != "":
        yield path
