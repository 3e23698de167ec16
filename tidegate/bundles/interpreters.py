# SPDX-License-Identifier: Apache-2.0
"""Which Python an app runs with: the version that its source asks for, among the installed versions.

In: the source. Out: an interpreter for `uv venv --python`, and a note where it is not quite the one that was asked for.
Raises `ProjectError` where no such version is installed for apps: Tidegate downloads none, because an app that runs as
another user could not read it.

| asked for in | as |
| --- | --- |
| .python-version | `3.12` |
| runtime.txt | `python-3.12.4` |
| Pipfile or Pipfile.lock | `python_version`, `python_full_version` |
| pyproject.toml | `requires-python` |
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import msgspec
import uv

from tidegate.bundles import tools
from tidegate.bundles.project_kind import ProjectError
from tidegate.bundles.source import Source, shown
from tidegate.kit.files import first_unsearchable_folder
from tidegate.kit.processes import path_for_others

_VERSION = re.compile(r"[A-Za-z0-9<>=!~^][A-Za-z0-9<>=!~^.,*+@_ -]*")
"""No option of uv, and no path: uv would run the program that it names."""
_PATCH = re.compile(r"(\d+\.\d+)\.\d+")


class VersionRequest(NamedTuple):
    """A version, in uv's words, and the file that asks for it."""

    version: str
    file: str


class Interpreter(NamedTuple):
    """What to give to `uv venv --python`."""

    program: str
    note: str = ""


def interpreter(source: Source) -> Interpreter:
    asked = _asked(source)
    if asked is None:
        return Interpreter(sys.executable)
    if not _VERSION.fullmatch(asked.version):
        raise ProjectError(f"{asked.file} asks for no version of Python: {shown(asked.version)}")
    if found := _find(asked.version):
        return Interpreter(found)
    patch = _PATCH.fullmatch(asked.version)
    if patch is not None and (found := _find(patch[1])):
        return Interpreter(
            found, f"{asked.file} asks for Python {asked.version}: it runs with the {patch[1]} of this host"
        )
    raise ProjectError(
        f"{asked.file} asks for Python {asked.version}; installed on this host for apps: {_installed()}. "
        f"Install it, or change {asked.file}"
    )


def _asked(source: Source) -> VersionRequest | None:
    if source.has(".python-version"):
        lines = (line.strip() for line in source.text(".python-version").splitlines())
        version = next((line for line in lines if line and not line.startswith("#")), "")
        return VersionRequest(version, ".python-version") if version else None
    if source.has("runtime.txt"):
        return VersionRequest(source.text("runtime.txt").strip().removeprefix("python-"), "runtime.txt")
    for file, section, fields in (
        ("Pipfile", "requires", ("python_full_version", "python_version")),
        ("pyproject.toml", "project", ("requires-python",)),
    ):
        values = toml(source, file).get(section) if source.has(file) else None
        version = next((str(values[each]) for each in fields if each in values), "") if isinstance(values, dict) else ""
        if version:
            return VersionRequest(version, file)
    return None


def toml(source: Source, file: str) -> dict[str, object]:
    """A TOML file of the source. Raises `ProjectError`."""
    try:
        return tomllib.loads(source.text(file))
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{file} cannot be read: {error}") from error


def _find(version: str) -> str:
    """The first that is installed and that an app can run, the newest before others."""
    return next((program for program, _ in _list(version)), "")


def _installed() -> str:
    versions = {version for _, version in _list()}
    return ", ".join(sorted(versions, key=_by_number)) or "none"


def _list(*versions: str) -> list[tuple[str, str]]:
    """The interpreters of this host and their versions; empty for an invalid version."""
    listed = msgspec.json.decode(_uv("list", "--only-installed", "--output-format", "json", *versions) or b"[]")
    return [(each["path"], each["version"]) for each in listed if _is_for_apps(Path(each["path"]))]


def _is_for_apps(program: Path) -> bool:
    """Where root runs Tidegate, apps run as users who may not pass root's home, but to the Python that we run with."""
    if os.geteuid() != 0 or first_unsearchable_folder(program) is None:
        return True
    return program.resolve().is_relative_to(Path(sys.base_prefix).resolve())


def _by_number(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _uv(*arguments: str) -> str:
    """What `uv python` answers; nothing where it finds nothing."""
    asked = [uv.find_uv_bin(), "python", *arguments, "--no-python-downloads", "--no-config", "--offline"]
    variables = {**tools.environment(), "PATH": _path()}
    done = subprocess.run(asked, capture_output=True, text=True, check=False, env=variables)  # noqa: S603 - our own uv
    return done.stdout.strip() if done.returncode == 0 else ""


def _path() -> str:
    """PATH with the versions of pyenv, whose own programs in PATH run only one of them."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    versions = sorted((root / "versions").glob("*/bin"), key=lambda each: _by_number(each.parent.name), reverse=True)
    usual = [each for each in path_for_others().split(":") if each != str(root / "shims")]
    return ":".join([*usual, *map(str, versions)])
