# SPDX-License-Identifier: Apache-2.0
"""Files that are compiled from C++: where they are, and how they are built.

In: a folder of sources. Out: the library or program in the package. The build hook (`hatch_build.py`) builds them; in a
checkout `path` builds one again when a source is younger; an installed package has no sources and uses the files it was
shipped with. Only the standard library is imported here: the build hook has nothing else.

Who: the gateway (the gate), the node agent (the launcher), the build hook.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# What a system compiler links in, so that the result needs nothing but libc. Zig does so by itself.
_STATIC = ("-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL")


class NativeError(Exception):
    """Something compiled cannot be built, found or used; the text says why."""


@dataclass(frozen=True, slots=True)
class Native:
    """One compiled file. `what`: its name in messages; `sources`: the folder of its C++ files."""

    what: str
    file: Path
    sources: Path
    options: Sequence[str]

    def path(self) -> Path:
        """The file; in a checkout it is built first when it is missing or older than its sources."""
        if self.sources.is_dir():
            return self.build()
        if not self.file.is_file():
            raise NativeError(f"{self.file} is missing: this Tidegate was installed without {self.what}")
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
        fresh = self.file.with_name(f".{self.file.name}.{os.getpid()}")  # processes that run keep the old file
        try:
            run([*command, *options, *map(str, sources), "-o", str(fresh)], self.what)
            fresh.replace(self.file)
        finally:
            fresh.unlink(missing_ok=True)
        return self.file


def run(command: list[str], what: str) -> None:
    """Compile `what`."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise NativeError(f"{what} does not build: {' '.join(command)}\n{result.stderr}")


def compiler() -> list[str] | None:
    """The command of the system's C++ compiler ($CXX first), else that of ziglang, else None."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        found = shutil.which(name) if name else None
        if found:
            return [found]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-P", "-m", "ziglang", "c++"]
    return None
