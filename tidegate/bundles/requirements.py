# SPDX-License-Identifier: Apache-2.0
"""Which of a Python project's files says what to install, and how uv installs it.

In: the source. Out: a `Requirements`: the arguments of `uv pip install`, or that `uv sync` does it.

| the first that is there | is installed |
| --- | --- |
| uv.lock | what it locks, with the project, without its group `dev` |
| requirements.txt | what it lists |
| Pipfile.lock, else Pipfile | what it locks for the default group; what it lists |
| pyproject.toml or setup.py, with a build system | the project with its dependencies |
| pyproject.toml | its dependencies; the app runs from its folder |
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tidegate.bundles.interpreters import toml
from tidegate.bundles.project_kind import ProjectError
from tidegate.bundles.source import Source

_FILES = ("uv.lock", "requirements.txt", "Pipfile.lock", "Pipfile", "pyproject.toml", "setup.py")
_NOT_OBEYED = (*_FILES[:4], "poetry.lock", "pdm.lock", "environment.yml")
_PYPI = "https://pypi.org/"


class Requirements(NamedTuple):
    """What to install. `listed`: the lines of a requirements file that is written for it."""

    file: str = ""
    arguments: Sequence[str] = ()
    listed: Sequence[str] = ()

    @property
    def synced(self) -> bool:
        return self.file == "uv.lock"


def requirements(source: Source) -> Requirements:
    file = next((each for each in _FILES if source.has(each)), "")
    if file == "requirements.txt":
        return Requirements(file, ("-r", file) if _lists_something(source.text(file)) else ())
    if file == "Pipfile.lock":
        lock = _json(source, file)
        return Requirements(file, listed=[*_indexes(lock), *_pinned(lock.get("default") or {})])
    if file == "Pipfile":
        return Requirements(file, listed=list(_pinned(_table(toml(source, file), "packages"))))
    if file == "pyproject.toml":
        return Requirements(file, _of_project(source))
    return Requirements(file, (".",) if file == "setup.py" else ())


def not_obeyed(source: Source) -> list[str]:
    """The files that say what to install and have no say."""
    used = requirements(source).file
    beside = "Pipfile" if used == "Pipfile.lock" else ""
    return [each for each in _NOT_OBEYED if source.has(each) and each not in (used, beside)]


def _lists_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


def _of_project(source: Source) -> Sequence[str]:
    project = toml(source, "pyproject.toml")
    poetry = _table(_table(project, "tool"), "poetry")
    if poetry.get("package-mode") is False and poetry.get("dependencies") and "project" not in project:
        raise ProjectError(
            "pyproject.toml has its dependencies in [tool.poetry.dependencies], which only poetry reads: write them to "
            "requirements.txt (poetry export -o requirements.txt)"
        )
    if "build-system" in project and poetry.get("package-mode") is not False:
        return (".",)
    return ("-r", "pyproject.toml") if _table(project, "project").get("dependencies") else ()


def _pinned(packages: Mapping[str, Any]) -> Iterator[str]:
    """The entries of a Pipfile or its lock, as lines of a requirements file."""
    for name, entry in packages.items():
        found = entry if isinstance(entry, dict) else {"version": entry}
        if not isinstance(found.get("version", "*"), str) or {"path", "file", "git"} & found.keys():
            raise ProjectError(f"Tidegate cannot install {name} of the Pipfile: write requirements.txt instead")
        extras = f"[{','.join(found['extras'])}]" if found.get("extras") else ""
        version = found.get("version", "*")
        marker = f" ; {found['markers']}" if found.get("markers") else ""
        hashes = "".join(f" --hash={each}" for each in found.get("hashes") or ())
        yield f"{name}{extras}{'' if version == '*' else version}{marker}{hashes}"


def _indexes(lock: Mapping[str, Any]) -> Iterator[str]:
    """The indexes that a lock names, besides the usual one, which uv knows by its own settings."""
    for each in (lock.get("_meta") or {}).get("sources") or ():
        if (url := str(each.get("url") or "")) and not url.startswith(_PYPI):
            yield f"--extra-index-url {url}"


def _json(source: Source, file: str) -> Mapping[str, Any]:
    try:
        found = json.loads(source.text(file))
    except ValueError as error:
        raise ProjectError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ProjectError(f"{file} is no JSON object")
    return found


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}
