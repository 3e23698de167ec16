# SPDX-License-Identifier: Apache-2.0
"""The files that Git excludes from a folder: its .gitignore files, those in folders below, and those above it in its
repository.

In: a folder. Out: `GitIgnore`, which is asked about one entry after the other on the way down, as Git asks itself.
.gcloudignore has the same patterns, in one file at the top, and may include others.

| rule | |
| --- | --- |
| the last line that matches an entry decides; a file in a deeper folder comes after one above it | gitignore(5) |
| nothing in a folder that is left out can be taken back | so that the folder is not entered |
| a line counts for the entry that it names alone, not for its content | by the two rules above |
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

from pathspec import GitIgnoreSpec
from pathspec.pattern import RegexPattern
from pathspec.patterns.gitignore.base import GitIgnorePatternError

_FILE = ".gitignore"


class GitPattern(NamedTuple):
    """One line that says something."""

    pattern: RegexPattern
    kept: bool  # it begins with "!"
    folders_only: bool

    def matches(self, path: str, *, folder: bool) -> bool:
        if self.folders_only and not folder:
            return False
        found = self.pattern.regex.search(path) if self.pattern.regex else None
        # pathspec's only group takes part where a folder above the entry matches.
        return found is not None and not any(found.groups())


class IgnoreFile(NamedTuple):
    """The lines of one file; `base` is its folder, relative to the repository: "" or "a/b/"."""

    base: str
    lines: Sequence[GitPattern]


@dataclass(frozen=True, slots=True)
class GitIgnore:
    """The lines that hold in one folder. `above`: where the source's own folder is in its repository, "" or "a/b/"."""

    name: str
    above: str
    levels: Sequence[IgnoreFile]
    nested: bool = True

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The .gitignore of a folder, and those of the folders above it up to its repository's."""
        repository = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
        levels = []
        for each in reversed(folder.parents):
            if each.is_relative_to(repository):
                levels.append(IgnoreFile(_prefix(each, repository), lines(_texts(each / _FILE))))
        rules = cls(_FILE, _prefix(folder, repository), levels)
        return rules.below("", folder)

    def ignores(self, path: str, *, folder: bool) -> bool:
        whole = self.above + path
        for level in reversed(self.levels):
            inside = whole.removeprefix(level.base)
            for line in reversed(level.lines):
                if line.matches(inside, folder=folder):
                    return not line.kept
        return False

    def may_keep_below(self, _path: str) -> bool:
        return False

    def below(self, path: str, folder: Path) -> Self:
        """The lines that hold in a folder of the source, with those of its own file."""
        if not self.nested:
            return self
        own = lines(_texts(folder / _FILE))
        base = f"{self.above}{path}/" if path else self.above
        return replace(self, levels=(*self.levels, IgnoreFile(base, own))) if own else self


def gcloudignore(folder: Path) -> GitIgnore:
    """The .gcloudignore of a folder, with the files that it includes: `#!include:NAME`, of the same folder."""
    return GitIgnore(".gcloudignore", "", [IgnoreFile("", lines(_with_included(folder)))], nested=False)


def _with_included(folder: Path) -> Iterator[str]:
    for text in _texts(folder / ".gcloudignore"):
        included = text.removeprefix("#!include:").strip()
        if included != text.strip() and "/" not in included:
            yield from _texts(folder / included)
        else:
            yield text


def lines(texts: Iterator[str]) -> list[GitPattern]:
    return [line for text in texts if (line := _line(text)) is not None]


def _line(text: str) -> GitPattern | None:
    """None for a comment, for an empty line, and for what Git takes for no pattern."""
    trimmed = text if text.endswith("\\ ") else text.rstrip(" \t")
    bare = trimmed.removesuffix("/")
    try:
        patterns = list(GitIgnoreSpec.from_lines([bare]).patterns)
    except GitIgnorePatternError:
        return None
    if not patterns or patterns[0].include is None or not isinstance(patterns[0], RegexPattern):
        return None
    return GitPattern(patterns[0], not patterns[0].include, bare != trimmed)


def _texts(file: Path) -> Iterator[str]:
    try:
        content = file.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return
    text = content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
    for line in text.split("\n"):
        yield line.removesuffix("\r")


def _prefix(folder: Path, repository: Path) -> str:
    relative = folder.relative_to(repository).as_posix()
    return "" if relative == "." else f"{relative}/"
