# SPDX-License-Identifier: Apache-2.0
"""Libraries and programs that are compiled from C++: where they are, and how they are built.

In: a folder of sources. Out: the library or program in the package. The build hook (`hatch_build.py`) builds it. In a
checkout, `path` builds it again when a source is younger. An installed package has no sources and uses the file in the
wheel. This module imports only the standard library, because the build hook has nothing else.

Called by: the gateway (the gate), the node agent (the launcher), the build hook.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Makes a system compiler link its libraries statically, so that the result needs only libc. Zig does so by default.
_STATIC = ("-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL")


class NativeError(Exception):
    """A compiled file cannot be built, found or used. The text has the reason."""


@dataclass(frozen=True, slots=True)
class Native:
    """One compiled file. `name`: its name in messages; `sources`: the folder of its C++ files."""

    name: str
    file: Path
    sources: Path
    options: Sequence[str]

    def path(self) -> Path:
        """The file. In a checkout it is built first if it is missing or older than its sources."""
        if self.sources.is_dir():
            return self.build()
        if not self.file.is_file():
            raise NativeError(f"{self.file} is missing: this Tidegate was installed without {self.name}")
        return self.file

    def build(self) -> Path:
        """Build the file unless it is younger than every source."""
        sources = sorted(self.sources.glob("*.cc"))
        inputs = [*sources, *self.sources.glob("*.h")]
        if self.file.is_file() and self.file.stat().st_mtime >= max(source.stat().st_mtime for source in inputs):
            return self.file
        command = compiler()
        if command is None:
            raise NativeError("no C++ compiler: install g++ or clang++, or the Python package ziglang")
        options = [*self.options, *(_STATIC if len(command) == 1 else ())]
        fresh = self.file.with_name(f".{self.file.name}.{os.getpid()}")  # running processes keep the old file
        try:
            run([*command, *options, *map(str, sources), "-o", str(fresh)], self.name)
            fresh.replace(self.file)
        finally:
            fresh.unlink(missing_ok=True)
        return self.file


def run(command: list[str], name: str) -> None:
    """Run a compiler. `name`: the compiled file's name in messages. Raises `NativeError`."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise NativeError(f"{name} does not build: {' '.join(command)}\n{result.stderr}")


def compiler() -> list[str] | None:
    """The command of the system's C++ compiler ($CXX first), or else of ziglang; None if there is neither."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        found = shutil.which(name) if name else None
        if found:
            return [found]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-P", "-m", "ziglang", "c++"]
    return None
