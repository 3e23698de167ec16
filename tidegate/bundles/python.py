# SPDX-License-Identifier: Apache-2.0
"""Python projects: one of the files that say what to install, or a program beside none.

In: the source, and the line `wsgi:` of its Procfile. Out: a virtual environment in the bundle's folder `env`, made by
uv, with what the app requires (`requirements`) for the Python that it asks for (`interpreters`).

`python_start` has its start command without a Procfile.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import uv

from tidegate.bundles import python_start
from tidegate.bundles.interpreters import Interpreter, interpreter
from tidegate.bundles.project_kind import Command
from tidegate.bundles.python_start import PythonStart
from tidegate.bundles.requirements import not_obeyed, requirements
from tidegate.bundles.source import Source
from tidegate.bundles.tools import BuildFolder, ToolError

ENVIRONMENT = "env"


@dataclass(frozen=True, slots=True)
class PythonProject:
    """A source with Python in its own folder. `wsgi`: "module:app" that gunicorn is to serve."""

    source: Source
    interpreter: Interpreter
    wsgi: str = ""
    variables: Mapping[str, str] = field(default_factory=lambda: {"PYTHONUNBUFFERED": "1"})

    kind = "Python"
    paths = (f"{ENVIRONMENT}/bin",)

    @classmethod
    def of(cls, source: Source, wsgi: str) -> "PythonProject | None":
        python = requirements(source).file or any(path.endswith(".py") and "/" not in path for path in source.files)
        return cls(source, interpreter(source), wsgi) if python or wsgi else None

    @property
    def starts(self) -> bool:
        return bool(self.wsgi) or python_start.is_known(self.source)

    @property
    def hint(self) -> str:
        return "add a main.py or an app.py, or a Procfile with a line like 'web: python server.py'"

    def missing(self) -> str:
        return ""

    def notes(self) -> Sequence[str]:
        used = requirements(self.source).file or "nothing"
        notes = [f"{each} is not used: {used} lists the dependencies" for each in not_obeyed(self.source)]
        return [*notes, *([self.interpreter.note] if self.interpreter.note else [])]

    def install(self, build_folder: BuildFolder) -> None:
        environment = build_folder.path / ENVIRONMENT
        self._uv(
            build_folder, "venv", "--relocatable", "--no-project", "--offline", "--python", self.interpreter.program
        )
        wanted = requirements(self.source)
        if wanted.synced:
            self._uv(
                build_folder,
                "sync",
                "--frozen",
                "--no-dev",
                "--no-editable",
                "--python",
                str(environment / "bin" / "python"),
            )
        elif wanted.listed:
            listed = build_folder.path / "requirements.txt"
            listed.write_text("\n".join(wanted.listed) + "\n")
            self._install(build_folder, "-r", str(listed))
            listed.unlink()
        elif wanted.arguments:
            self._install(build_folder, *wanted.arguments)
        if server := self._start(build_folder).server:
            self._install(build_folder, server)
        python = str(environment / "bin" / "python")
        if self.source.has("manage.py") and _installed(build_folder, "django"):
            _collect_static(build_folder, python)
        compile_all(build_folder, python, str(build_folder.source))

    def command(self, build_folder: BuildFolder) -> Command:
        return self._start(build_folder).command

    def translated(self, web: Command) -> Command:
        return web

    def _start(self, build_folder: BuildFolder) -> PythonStart:
        installed = [each for each in python_start.PACKAGES if _installed(build_folder, each)]
        if self.wsgi:
            has_server = python_start.GUNICORN in installed
            return PythonStart(python_start.gunicorn(self.wsgi), "" if has_server else python_start.GUNICORN)
        return python_start.start(self.source, installed) or PythonStart(())

    def _install(self, build_folder: BuildFolder, *wanted: str) -> None:
        python = build_folder.path / ENVIRONMENT / "bin" / "python"
        self._uv(build_folder, "pip", "install", "--python", str(python), *wanted)

    def _uv(self, build_folder: BuildFolder, *arguments: str) -> None:
        environment = str(build_folder.path / ENVIRONMENT)
        target = (environment,) if arguments[0] == "venv" else ()
        label = {"venv": "making the Python environment"}.get(arguments[0], "installing what the app requires")
        build_folder.run(
            *(uv.find_uv_bin(), "--no-progress", "--color", "never", *arguments, *target),
            label=label,
            UV_PROJECT_ENVIRONMENT=environment,
            UV_PYTHON_DOWNLOADS="never",
            UV_LINK_MODE="copy",
            UV_COMPILE_BYTECODE="1",
        )


def compile_all(build_folder: BuildFolder, python: str, folder: str) -> None:
    """Compile modules now: an app may not write into its bundle, and would compile them at every start. Nothing of the
    app is run, and files that are not valid for this Python version stay uncompiled."""
    with suppress(ToolError):
        command = (python, "-I", "-S", "-m", "compileall", "-q", "-x", "node_modules", folder)
        build_folder.run(*command, label="compiling its modules")


def _collect_static(build_folder: BuildFolder, python: str) -> None:
    """As Heroku does for Django; where it needs settings that only the running app has, the app may do it itself."""
    command = ("manage.py", "collectstatic", "--noinput")
    try:
        build_folder.run(python, *command, label=f"python {' '.join(command)}")
    except ToolError as error:
        build_folder.messages.remark(f"{error}: {error.lines[-1] if error.lines else 'it said nothing'}")


def _installed(build_folder: BuildFolder, package: str) -> bool:
    libraries = Path(build_folder.path / ENVIRONMENT / "lib")
    return any(libraries.glob(f"python*/site-packages/{package}"))
