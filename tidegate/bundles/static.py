# SPDX-License-Identifier: Apache-2.0
"""Static files: a Procfile's line `static: folder`, or an index.html.

In: the source, and that line. Out: in the bundle's folder `static`, a file server (`fileserver`) with an environment of
its own. The libraries that it takes are copied from Tidegate's own environment, so that nothing is to be downloaded.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import uv

from tidegate.bundles import fileserver
from tidegate.bundles.project_kind import Command, ProjectError
from tidegate.bundles.python import compile_all
from tidegate.bundles.source import Source
from tidegate.bundles.tools import BuildFolder

_LIBRARIES = ("starlette", "anyio", "idna", "uvicorn", "click", "h11", "typing_extensions")
_SERVER = "fileserver.py"


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """A source whose `folder` is served as it is."""

    folder: str
    variables: Mapping[str, str] = field(default_factory=dict)

    kind = "static files"
    paths = ()
    starts = True
    hint = ""

    @classmethod
    def of(cls, source: Source, folder: str) -> "StaticFiles | None":
        return cls(folder or ".") if folder or source.has("index.html") else None

    def missing(self) -> str:
        return ""

    def notes(self) -> Sequence[str]:
        return ()

    def install(self, build_folder: BuildFolder) -> None:
        target = build_folder.path / "static"
        arguments = ("venv", "--no-project", "--offline", "--relocatable", "--python", sys.executable, str(target))
        build_folder.run(uv.find_uv_bin(), *arguments, label="making the file server")
        libraries = next((target / "lib").glob("python*/site-packages"))
        for name in _LIBRARIES:
            _copy(metadata.distribution(name), libraries)
        shutil.copyfile(fileserver.__file__, target / _SERVER)
        compile_all(build_folder, str(target / "bin" / "python"), str(target))

    def command(self, build_folder: BuildFolder) -> Command:
        served = (build_folder.source / self.folder).resolve()
        if not (served.is_dir() and served.is_relative_to(build_folder.source.resolve())):
            raise ProjectError(
                f"the Procfile's line static: names {self.folder}, and there is no such folder in the app's"
            )
        return ("../static/bin/python", f"../static/{_SERVER}", self.folder)

    def translated(self, web: Command) -> Command:
        return web


def _copy(distribution: metadata.Distribution, target: Path) -> None:
    """The modules of an installed distribution, without its programs."""
    for file in distribution.files or ():
        if file.suffix == ".pyc" or ".." in file.parts:
            continue
        copied = target / file
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(file.locate()), copied)
