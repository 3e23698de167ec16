# SPDX-License-Identifier: Apache-2.0
"""The folders of this host that a program needs to run: its own, its interpreter's, those of links on the way.

In: a program as a container names it, its working folder and its PATH. Out: folders, and files where a folder has more
than programs (`place_of`). Called by: `visible_paths.py`.

    .venv/bin/gunicorn        .venv                                    the folder around `bin`
      #! .venv/bin/python     ~/.local/share/uv/python/cpython-3.12    where its link leads
    ~/bin/serve               ~/bin                                    a home is never shown as a whole
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

_MOST_FILES = 32  # programs, interpreters and links that are followed
_WIDE = frozenset(
    {
        *("/", "/home", "/root", "/etc", "/var", "/var/lib", "/tmp", "/var/tmp", "/opt", "/srv", "/mnt", "/media"),  # noqa: S108
        *("/run", "/dev", "/proc", "/sys", "/nix", "/usr", "/boot", "/snap"),
    }
)
_WIDE_IN_HOME = ("", ".local", ".local/share", ".local/state", ".cargo", ".config", ".cache", ".ssh", ".gnupg", ".kube")
_IN_HOME = (
    *(".local/bin", ".local/share/uv", ".local/pipx", ".local/share/pipx", ".local/share/mise", ".pyenv", ".nvm"),
    *(".asdf", ".volta", ".cargo/bin", ".rustup/toolchains", "go/bin", "sdk", ".sdkman/candidates", ".rbenv", ".rvm"),
    *(".deno/bin", ".bun/bin", ".dotnet", ".local/lib", ".local/share/pnpm", ".fnm", ".nodenv", ".goenv"),
)
"""Where version managers keep toolchains: public programs without secrets."""


def places(program: str, directory: Path, path: str) -> set[Path]:
    """The folders and files that a program needs, apart from the system's."""
    found: set[Path] = set()
    waiting = [_find(program, directory, path)]
    seen: set[Path] = set()
    while waiting and len(seen) < _MOST_FILES:
        file = waiting.pop()
        if file is None or file in seen:
            continue
        seen.add(file)
        found.add(place_of(file))
        if (target := _target(file)) is not None:
            waiting.append(target)
        else:
            waiting.extend(_interpreters(file, directory, path))
        waiting.append(_base_python(file))
    return found


def in_home(home: Path) -> list[Path]:
    """The toolchains of version managers in a home."""
    return [folder for name in _IN_HOME if (folder := home / name).is_dir()]


def place_of(file: Path) -> Path:
    """The folder to show for a file: the one around its `bin`, else its own; the file itself if both are too wide."""
    folder = file.parent
    around = folder.parent if folder.name in ("bin", "sbin") else folder
    return next((place for place in (around, folder) if not is_wide(place)), file)


def is_wide(folder: Path) -> bool:
    """Whether a folder holds more than one program's files, e.g. a home."""
    return str(folder) in _WIDE or str(folder) in wide_in_homes()


@cache
def wide_in_homes() -> frozenset[str]:
    homes = {Path(entry.pw_dir) for entry in pwd.getpwall()} | {Path.home()}
    return frozenset(str(home / name) for home in homes for name in _WIDE_IN_HOME if home != Path("/"))


def _find(program: str, directory: Path, path: str) -> Path | None:
    if "/" in program:
        return Path(os.path.normpath(directory / program))
    for folder in path.split(":"):
        file = directory / folder / program
        if os.access(file, os.X_OK) and os.path.isfile(file):  # noqa: PTH113 - a Path raises for a name that is too long
            return file
    return None


def _target(file: Path) -> Path | None:
    with suppress(OSError):
        return Path(os.path.normpath(file.parent / file.readlink()))
    return None


def _interpreters(file: Path, directory: Path, path: str) -> Iterator[Path | None]:
    """What the first line of a script names: `#!INTERPRETER` or `#!/usr/bin/env INTERPRETER`."""
    try:
        with file.open("rb") as script:
            first = script.readline(512)
    except OSError:
        return
    if first.startswith(b"#!"):
        words = [word for word in first[2:].decode(errors="replace").split() if not word.startswith("-")]
        for word in words[:2]:
            yield _find(word, directory, path)


def _base_python(file: Path) -> Path | None:
    """The Python that a virtual environment was made from."""
    with suppress(OSError, UnicodeDecodeError):
        for line in (file.parent.parent / "pyvenv.cfg").read_text().splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home" and value.strip():
                return Path(value.strip()) / "python3"
    return None
