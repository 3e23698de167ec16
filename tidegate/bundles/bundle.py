# SPDX-License-Identifier: Apache-2.0
"""Bundles: an app's source and environment in one folder that is named by its content and never changes.

In: a folder of source (`build`), or an image `tidegate.dev/bundle/NAME@sha256:HEX` (`resolve`). Out: a `Bundle`. Who:
`tidegate build` and `tidegate deploy`; the node agent, for what to run.

    bundles/HEX/source/       the files as they were; the app's working directory
    bundles/HEX/env/          the Python environment, where there is a pyproject.toml or requirements.txt
    bundles/HEX/bundle.json   the start command

It is made in a folder beside and renamed, so that a bundle is whole or not there. What has been built once is not
built again.
"""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import uv

from tidegate.bundles import collection
from tidegate.bundles.source import Source, SourceError
from tidegate.model import names

Progress = Callable[[str], None]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_IMAGE = re.compile(re.escape(names.BUNDLE_IMAGE_PREFIX) + r"([a-z0-9]([-a-z0-9]*[a-z0-9])?)@sha256:([0-9a-f]{64})")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))|\$")
_MANIFEST = "bundle.json"
_SOURCE, _ENVIRONMENT = "source", "env"
_FOLDER_MODE, _FILE_MODE = 0o755, 0o644
_INSTALL_SECONDS = 900


class BundleError(Exception):
    """An app cannot be made into a bundle, or there is no such bundle; the message is for whoever asked."""


class Manifest(msgspec.Struct, frozen=True):
    """What a bundle says of itself. `command` is in the syntax of a container's command: $(PORT)."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle on this host."""

    name: str
    digest: str
    folder: Path
    command: tuple[str, ...]

    @property
    def image(self) -> str:
        return f"{names.BUNDLE_IMAGE_PREFIX}{self.name}@sha256:{self.digest}"

    @property
    def source(self) -> Path:
        return self.folder / _SOURCE

    def environment(self, path: str) -> Mapping[str, str]:
        """The variables that put its Python environment in front of `path`; none where it has none."""
        environment = self.folder / _ENVIRONMENT
        if not environment.is_dir():
            return {}
        return {"VIRTUAL_ENV": str(environment), "PATH": f"{environment / 'bin'}:{path}", "PYTHONUNBUFFERED": "1"}


def build(folder: Path, name: str, bundles: Path, progress: Progress, *, needs_command: bool = True) -> Bundle:
    """The bundle of an app's folder, made unless it is there. `needs_command`: refuse one that does not say how it is
    started. Raises `BundleError`."""
    if not _NAME.fullmatch(name):
        raise BundleError(f"{name!r} cannot name a bundle: it takes lower-case letters, digits and dashes, at most 63")
    folder = folder.resolve()
    try:
        source = Source.of(folder)
        command = _web_command(folder)
        if needs_command and not command:
            raise BundleError(
                f"nothing says how to start {folder.name}: add a file Procfile with a line like {_EXAMPLE!r}"
            )
        digest = source.digest()
        if not (bundles / digest / _MANIFEST).is_file():
            progress(f"copying {len(source.files)} files")
            _make(source, command, bundles, digest, progress)
        collection.touch(bundles / digest)
    except SourceError as error:
        raise BundleError(str(error)) from error
    except OSError as error:
        raise BundleError(f"cannot build {folder}: {error}") from error
    return _read(name, bundles / digest)


_EXAMPLE = "web: python app.py"


def resolve(image: str, bundles: Path) -> Bundle:
    """The bundle that an image names. Raises `BundleError`."""
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise BundleError(f"{image!r} names no bundle: it reads {names.BUNDLE_IMAGE_PREFIX}NAME@sha256:DIGEST")
    if not (bundles / found[3] / _MANIFEST).is_file():
        raise BundleError(
            f"there is no bundle {found[1]}@sha256:{found[3]} on this host; build it with: tidegate build DIR"
        )
    return _read(found[1], bundles / found[3])


def _read(name: str, folder: Path) -> Bundle:
    manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
    return Bundle(name, folder.name, folder, manifest.command)


def _make(source: Source, command: Sequence[str], bundles: Path, digest: str, progress: Progress) -> None:
    bundles.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=bundles))
    try:
        source.copy(new / _SOURCE)
        _make_environment(new, progress)
        (new / _MANIFEST).write_bytes(msgspec.json.encode(Manifest(tuple(command))))
        _compile(new)
        _open(new)
        with suppress(FileExistsError):  # somebody else built it meanwhile
            _rename(new, bundles / digest)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _compile(bundle: Path) -> None:
    """Apps may not write a bundle: what Python keeps of compiled modules is made here. Nothing of the app is run."""
    python = bundle / _ENVIRONMENT / "bin" / "python"
    if python.exists():
        command = [str(python), "-I", "-S", "-m", "compileall", "-q", str(bundle / _SOURCE)]
        # A file that does not compile (for another Python, a template) is the app's own affair.
        subprocess.run(command, cwd="/", env={}, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603


def open_all(bundles: Path) -> None:
    """Open those that an earlier version made for their owner alone."""
    for folder in bundles.iterdir():
        if not folder.name.startswith(".") and stat.S_IMODE(folder.stat().st_mode) != _FOLDER_MODE:
            _open(folder)


def _open(bundle: Path) -> None:
    """Let apps read a bundle, whoever they run as, and only its owner write it; the folder itself comes last. Bits that
    would give its owner's rights to the one who executes a file do not survive."""
    for folder, folders, files in os.walk(bundle, topdown=False):
        for name in (*folders, *files):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode):
                path.chmod(_FOLDER_MODE if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else _FILE_MODE)
    bundle.chmod(_FOLDER_MODE)


def _rename(new: Path, final: Path) -> None:
    try:
        new.rename(final)
    except OSError as error:
        if (final / _MANIFEST).is_file():
            raise FileExistsError(str(final)) from error
        raise


def _web_command(folder: Path) -> tuple[str, ...]:
    """The `web:` line of the Procfile, cut into words as a shell would; $PORT as a container's command has it."""
    try:
        text = (folder / "Procfile").read_text()
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError as error:
        raise BundleError("the Procfile is not UTF-8 text") from error
    line = next((line for line in text.splitlines() if line.startswith("web:")), None)
    if line is None:
        return ()
    try:
        words = shlex.split(line.removeprefix("web:"))
    except ValueError as error:
        raise BundleError(f"the Procfile's line web: cannot be read: {error}") from error
    shell = next((word for word in words if word in ("&&", "||", "|", ";", "&", ">", "<", "2>&1")), None)
    if shell is not None:
        raise BundleError(f"the Procfile's line web: is run without a shell; {shell!r} needs one: web: sh -c '...'")
    return tuple(_VARIABLE.sub(_in_containers_syntax, word) for word in words)


def _in_containers_syntax(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    return f"$({name})" if name else "$$"


def _make_environment(bundle: Path, progress: Progress) -> None:
    """With `uv`, into a relocatable environment; without network where nothing is to be installed."""
    source = bundle / _SOURCE
    requirements = _requirements(source)
    if requirements is None:
        return
    environment = bundle / _ENVIRONMENT
    progress("making the Python environment")
    _uv(["venv", "--relocatable", "--no-project", "--offline", "--python", sys.executable, str(environment)], source)
    if requirements:
        progress("installing what the app requires")
        _uv(
            [
                *("pip", "install", "--link-mode", "copy", "--compile-bytecode"),
                *("--python", str(environment / "bin" / "python"), *requirements),
            ],
            source,
        )


def _requirements(source: Path) -> list[str] | None:
    """What to install, as arguments of `uv pip install`; None for what is no Python app.

    | there is | installed |
    | --- | --- |
    | requirements.txt | what it lists |
    | else pyproject.toml with a build system | the project itself, so that its scripts and packages are there |
    | else pyproject.toml | its dependencies; the app runs from its folder |
    """
    if (source / "requirements.txt").is_file():
        lines = (source / "requirements.txt").read_text().splitlines()
        listed = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        return ["-r", "requirements.txt"] if listed else []
    try:
        project: dict[str, Any] = tomllib.loads((source / "pyproject.toml").read_text())
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"pyproject.toml cannot be read: {error}") from error
    if "build-system" in project:
        return ["."]
    return ["-r", "pyproject.toml"] if (project.get("project") or {}).get("dependencies") else []


def _uv(arguments: Sequence[str], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    try:
        done = subprocess.run(  # noqa: S603 - uv of our own dependencies, no shell
            [uv.find_uv_bin(), "--no-progress", "--color", "never", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"uv {arguments[0]} did not end within {_INSTALL_SECONDS} s") from error
    if done.returncode != 0:
        raise BundleError(
            f"the app's environment cannot be made: {done.stderr.strip() or f'uv ended with {done.returncode}'}"
        )
