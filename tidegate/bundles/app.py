# SPDX-License-Identifier: Apache-2.0
"""An app from its source: its kinds of project, its Procfile, and so its installation and its start command.

In: a source. Out: an `App`. Raises `ProjectError`, which says what to change, if it cannot be built.
Called by `build`. docs/source.md has the rules in the order of their use.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.bundles.golang import GoProject
from tidegate.bundles.nodejs import NodeProject
from tidegate.bundles.procfile import Procfile, ProcfileError
from tidegate.bundles.project_kind import Command, ProjectError, ProjectKind
from tidegate.bundles.python import PythonProject
from tidegate.bundles.source import Source
from tidegate.bundles.static import StaticFiles
from tidegate.bundles.tools import BuildFolder

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
    """A source, its Procfile and its kinds of project. `project_kinds`: the kind with the start command is first."""

    source: Source
    procfile: Procfile
    project_kinds: Sequence[ProjectKind]

    @classmethod
    def of(cls, source: Source) -> "App":
        try:
            procfile = Procfile.of(source.text("Procfile") if source.has("Procfile") else "")
        except ProcfileError as error:
            raise ProjectError(str(error)) from error
        if procfile.static:
            found: list[ProjectKind | None] = [StaticFiles.of(source, procfile.static), NodeProject.of(source)]
        elif procfile.wsgi:
            found = [PythonProject.of(source, procfile.wsgi), NodeProject.of(source)]
        else:
            found = [NodeProject.of(source), PythonProject.of(source, ""), GoProject.of(source)]
        project_kinds = [project for project in found if project is not None]
        starts = procfile.web or any(project.starts for project in project_kinds)
        if not starts and (static := StaticFiles.of(source, "")) is not None:
            project_kinds.append(static)
        return cls(source, procfile, sorted(project_kinds, key=lambda project: not project.starts))

    def check(self) -> None:
        """Reject an app that cannot be built here, before anything is written."""
        for project in self._needed():
            if missing := project.missing():
                raise ProjectError(missing)

    def check_command(self) -> None:
        """Reject an app without a start command, as far as that is known before the build."""
        if not self.procfile.web and not any(project.starts for project in self.project_kinds):
            raise ProjectError(self.no_command())

    def notes(self) -> list[str]:
        """What the source says and Tidegate does not do."""
        notes = [f"the Procfile's line {kind}: is not run" for kind in self.procfile.not_run()]
        for project in self.project_kinds:
            if project not in self._needed() and (missing := project.missing()):
                notes.append(f"{missing}: nothing is installed for it")
            else:
                notes.extend(project.notes())
        return notes

    def install(self, build_folder: BuildFolder) -> None:
        """Install what the source asks for."""
        for project in self.project_kinds:
            if project in self._needed() or not project.missing():
                project.install(build_folder)

    def command(self, build_folder: BuildFolder) -> Command:
        """How it starts, once it is installed; nothing where nothing says so."""
        web = self.procfile.web
        for project in self.project_kinds:
            web = project.translated(web) if self.procfile.web else web or project.command(build_folder)
        return web

    @property
    def release(self) -> Command:
        return self.procfile.release

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path for project in self.project_kinds for path in project.paths)

    @property
    def variables(self) -> dict[str, str]:
        return {name: value for project in self.project_kinds for name, value in project.variables.items()}

    def _needed(self) -> Sequence[ProjectKind]:
        """The kinds that the app cannot do without; if there are several, the Procfile may start any of them."""
        return () if self.procfile.web and len(self.project_kinds) > 1 else self.project_kinds[:1]

    def no_command(self) -> str:
        nothing = f"nothing says how to start {self.source.folder.name}"
        if hint := next((project.hint for project in self.project_kinds if project.hint), ""):
            return f"{nothing}: {hint}"
        if other := next((kind for file, kind in _OTHERS.items() if self.source.has(file)), ""):
            return (
                f"{nothing}: Tidegate builds Python, Node.js, Go and static files, and this is {other}; build it "
                "yourself and add a Procfile with a line like 'web: ./PROGRAM' (--include packs ignored files)"
            )
        return f"{nothing}: add a file Procfile with a line like {_EXAMPLE!r}"
