# SPDX-License-Identifier: Apache-2.0
"""Which entries of a folder are packed into a bundle, and why others are not.

In: a folder and the paths that the user asks for by name (`--include`). Out: `Packing`, which is asked about one entry
after the other on the way down.

| an entry | is |
| --- | --- |
| named by `--include`, or in a folder that is | packed |
| made by tools and made again: .git, caches, virtual environments, node_modules | left out |
| whose name is that of a secret (`SECRETS`) | left out |
| that the ignore file names: .gcloudignore, else .dockerignore, else the .gitignore files | left out |
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from tidegate.bundles.dockerignore import DockerIgnore
from tidegate.bundles.gitignore import GitIgnore, gcloudignore

MADE_AGAIN = frozenset(
    (
        *(".git", ".hg", ".svn"),
        *(".venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox"),
        "node_modules",
        *(".idea", ".DS_Store", ".tidegate"),
    )
)

SECRETS = (
    *(".env", ".env.*"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.ppk", "*.kdbx"),
    *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
    *(".netrc", ".pgpass", ".pypirc", ".git-credentials"),
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube"),
)
"""Names of files and folders that hold secrets as a rule, in any case of letters."""

EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist")
"""Names that match `SECRETS` and hold none."""


class Ignore(Protocol):
    """What an ignore file says of one folder. Paths are relative to the source."""

    @property
    def name(self) -> str:
        """The name of the ignore file, for messages."""

    def ignores(self, path: str, *, folder: bool) -> bool: ...

    def may_keep_below(self, path: str) -> bool:
        """Whether something in a folder that is left out may be packed nevertheless."""

    def below(self, path: str, folder: Path) -> Self:
        """What holds in a folder of the source, which is `folder` on this host."""


class Entry(NamedTuple):
    """One file or folder of the source."""

    path: str
    name: str
    folder: bool


@dataclass(frozen=True, slots=True)
class Packing:
    """What holds in one folder. `outside`: why the folder itself is left out, where it is entered all the same."""

    ignore: Ignore
    include: Sequence[str] = ()
    outside: str = ""

    @classmethod
    def of(cls, folder: Path, include: Sequence[str] = ()) -> Self:
        if (folder / ".gcloudignore").is_file():
            return cls(gcloudignore(folder), include)
        if (folder / ".dockerignore").is_file():
            return cls(DockerIgnore.of(folder), include)
        return cls(GitIgnore.of(folder), include)

    def why_not(self, entry: Entry, place: Path) -> str:
        """Why an entry, which is `place` on this host, is left out: `MADE`, `SECRET`, an ignore file's name, or ""."""
        if any(_is_in(entry.path, each) for each in self.include):
            return ""
        if self.outside:
            return self.outside
        if entry.name in MADE_AGAIN or (entry.folder and (place / "pyvenv.cfg").is_file()):
            return MADE
        if _is_secret(entry.name):
            return SECRET
        return self.ignore.name if self.ignore.ignores(entry.path, folder=entry.folder) else ""

    def enters(self, path: str, why: str) -> bool:
        """Whether to look into a folder that is left out."""
        return any(_is_in(each, path) for each in self.include) or self._may_keep(path, why)

    def below(self, path: str, place: Path, why: str) -> Self:
        """What holds in a folder, which is itself left out where `why` says something."""
        outside = "" if not why or self._may_keep(path, why) else why
        return replace(self, ignore=self.ignore.below(path, place), outside=outside)

    def _may_keep(self, path: str, why: str) -> bool:
        return why == self.ignore.name and self.ignore.may_keep_below(path)


MADE, SECRET = "made again", "may be secret"


def _is_secret(name: str) -> bool:
    low = name.lower()
    return low not in EXAMPLES and any(fnmatchcase(low, pattern) for pattern in SECRETS)


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
