# SPDX-License-Identifier: Apache-2.0
"""An app from its source: its kinds of project, its Procfile, and so its installation and its start command.

In: a source. Out: an `App`. Raises `PartError` where it cannot be built, with what to do about it. Called by `bundle`.
docs/source.md has the rules in the order of their use.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.bundles.golang import GoProject
from tidegate.bundles.nodejs import NodeProject
from tidegate.bundles.parts import Command, Part, PartError
from tidegate.bundles.procfile import Procfile, ProcfileError
from tidegate.bundles.python import PythonProject
from tidegate.bundles.source import Source
from tidegate.bundles.static import StaticFiles
from tidegate.bundles.tools import Site

_OTHERS = {
    "Cargo.toml": "Rust",
    "Gemfile": "Ruby",
    "pom.xml": "Java",
    "build.gradle": "Java",
    "build.gradle.kts": "Java",
    "composer.json": "PHP",
    "index.php": "PHP",
    "mix.exs": "Elixir",
    "deno.json": "Deno",
    "Dockerfile": "Docker",
}
_EXAMPLE = "web: python app.py"


@dataclass(frozen=True, slots=True)
class App:
    """A source, its Procfile and its kinds of project. `parts`: the kind with the start command is first."""

    source: Source
    procfile: Procfile
    parts: Sequence[Part]

    @classmethod
    def of(cls, source: Source) -> "App":
        try:
            procfile = Procfile.of(source.text("Procfile") if source.has("Procfile") else "")
        except ProcfileError as error:
            raise PartError(str(error)) from error
        if procfile.static:
            found: list[Part | None] = [StaticFiles.of(source, procfile.static), NodeProject.of(source)]
        elif procfile.wsgi:
            found = [PythonProject.of(source, procfile.wsgi), NodeProject.of(source)]
        else:
            found = [NodeProject.of(source), PythonProject.of(source, ""), GoProject.of(source)]
        parts = [part for part in found if part is not None]
        starts = procfile.web or any(part.starts for part in parts)
        if not starts and (static := StaticFiles.of(source, "")) is not None:
            parts.append(static)
        return cls(source, procfile, sorted(parts, key=lambda part: not part.starts))

    def check(self) -> None:
        """Refuse what cannot be built here, before anything is made."""
        for part in self._needed():
            if missing := part.missing():
                raise PartError(missing)

    def check_command(self) -> None:
        """Refuse what cannot say how it is started, as far as that is known before anything is made."""
        if not self.procfile.web and not any(part.starts for part in self.parts):
            raise PartError(self.no_command())

    def notes(self) -> list[str]:
        """What the source says and Tidegate does not do."""
        notes = [f"the Procfile's line {kind}: is not run" for kind in self.procfile.not_run()]
        for part in self.parts:
            if part not in self._needed() and (missing := part.missing()):
                notes.append(f"{missing}: nothing is installed for it")
            else:
                notes.extend(part.notes())
        return notes

    def install(self, site: Site) -> None:
        """Install what the source asks for."""
        for part in self.parts:
            if part in self._needed() or not part.missing():
                part.install(site)

    def command(self, site: Site) -> Command:
        """How it starts, once it is installed; nothing where nothing says so."""
        web = self.procfile.web
        for part in self.parts:
            web = part.translated(web) if self.procfile.web else web or part.command(site)
        return web

    @property
    def release(self) -> Command:
        return self.procfile.release

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path for part in self.parts for path in part.paths)

    @property
    def variables(self) -> dict[str, str]:
        return {name: value for part in self.parts for name, value in part.variables.items()}

    def _needed(self) -> Sequence[Part]:
        """The kinds that the app cannot do without; if there are several, the Procfile may start any of them."""
        return () if self.procfile.web and len(self.parts) > 1 else self.parts[:1]

    def no_command(self) -> str:
        nothing = f"nothing says how to start {self.source.folder.name}"
        if hint := next((part.hint for part in self.parts if part.hint), ""):
            return f"{nothing}: {hint}"
        if other := next((kind for file, kind in _OTHERS.items() if self.source.has(file)), ""):
            return (
                f"{nothing}: Tidegate builds Python, Node.js, Go and static files, and this is {other}; build it "
                "yourself and add a Procfile with a line like 'web: ./PROGRAM' (--include packs ignored files)"
            )
        return f"{nothing}: add a file Procfile with a line like {_EXAMPLE!r}"
