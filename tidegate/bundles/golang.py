# SPDX-License-Identifier: Apache-2.0
"""Go projects: a go.mod.

In: the source. Out: its programs in the bundle's folder `bin`: that of the module's own folder, and those below `cmd`.
It starts the one there is, or the one that is named after the module.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.bundles import tools
from tidegate.bundles.project_kind import Command, ProjectError
from tidegate.bundles.source import Source
from tidegate.bundles.tools import BuildFolder

_MODULE = re.compile(r"^module\s+\"?([^\s\"]+)", re.MULTILINE)
_MAIN = re.compile(r"^package main\b", re.MULTILINE)
_MAJOR = re.compile(r"/v\d+$")


@dataclass(frozen=True, slots=True)
class GoProject:
    """A source with a go.mod."""

    source: Source
    variables: Mapping[str, str] = field(default_factory=dict)

    kind = "Go"
    paths = ("bin",)
    starts = True
    hint = "add a Procfile with a line like 'web: NAME', where NAME is a program of the module"

    @classmethod
    def of(cls, source: Source) -> "GoProject | None":
        return cls(source) if source.has("go.mod") else None

    def missing(self) -> str:
        return "" if tools.find("go") else "go.mod takes Go, and there is no go in PATH"

    def notes(self) -> Sequence[str]:
        return ()

    def install(self, build_folder: BuildFolder) -> None:
        packages = [*(["."] if self._main_in("") else []), *(["./cmd/..."] if self._main_in("cmd/") else [])]
        if not packages:
            raise ProjectError("go.mod is there, and no package main, neither beside it nor in folders of cmd")
        target = build_folder.path / "bin"
        target.mkdir()
        go = tools.find("go") or "go"
        build_folder.run(go, "build", "-o", f"{target}/", *packages, label=f"go build {' '.join(packages)}")

    def command(self, build_folder: BuildFolder) -> Command:
        programs = sorted(each.name for each in (build_folder.path / "bin").iterdir())
        module = _MODULE.search(self.source.text("go.mod"))
        name = _MAJOR.sub("", module[1]).rpartition("/")[2] if module else ""
        if name in programs or len(programs) == 1:
            return (name if name in programs else programs[0],)
        raise ProjectError(f"the Go module has the programs {', '.join(programs)}: {self.hint}")

    def translated(self, web: Command) -> Command:
        return web

    def _main_in(self, folder: str) -> bool:
        """Whether there is a program: beside go.mod for "", else anywhere in that folder."""
        files = [
            path
            for path in self.source.files
            if path.startswith(folder) and path.endswith(".go") and not path.endswith("_test.go")
        ]
        return any(_MAIN.search(self.source.text(path)) for path in files if folder or "/" not in path)
