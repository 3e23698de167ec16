# SPDX-License-Identifier: Apache-2.0
"""The gate's shared library: where it is, how it is built, and whether it fits an Envoy.

Envoy loads the module named `gate` from `libgate.so` in the folder that $ENVOY_DYNAMIC_MODULES_SEARCH_PATH names:
`path().parent`. The build hook (`hatch_build.py`) builds it into this package. In a checkout `path()` builds it anew
when a source is younger; an installed package has no sources and its library is as it was shipped. Only the standard
library is imported here: the build hook loads this file by itself.
"""

import importlib.util
import mmap
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAME = "libgate.so"
ABI = "v0.2.0"  # what Envoy 1.40 calls its dynamic-module ABI; `gate/filter.cc` answers the same
HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent.parent / "gate"
FLAGS = ["-std=c++20", "-O2", "-fPIC", "-fvisibility=hidden", "-shared", "-pthread"]
LINK = ["-s", "-Wl,-z,nodelete"]  # nodelete: its reporter's thread must outlive Envoy's last use of it
# What a system compiler links in, so that the module needs nothing but libc. Zig does so by itself.
STATIC = ["-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL"]


class ModuleError(Exception):
    """The gate cannot be built, found or used; the text says why."""


def path() -> Path:
    """The library that Envoy is to load; in a checkout it is built first when missing or older than its sources."""
    if SOURCES.is_dir():
        return build(HERE)
    library = HERE / NAME
    if not library.is_file():
        raise ModuleError(f"{library} is missing: this Tidegate was installed without its gate")
    return library


def build(folder: Path) -> Path:
    """Builds the library into the folder unless it is younger than every source; answers where it is."""
    library = folder / NAME
    sources = sorted(SOURCES.glob("*.cc"))
    inputs = [*sources, *SOURCES.glob("*.h")]
    if library.is_file() and library.stat().st_mtime >= max(source.stat().st_mtime for source in inputs):
        return library
    command = compiler()
    if command is None:
        raise ModuleError("no C++ compiler: install g++ or clang++, or the Python package ziglang")
    options = FLAGS + LINK + (STATIC if len(command) == 1 else [])
    fresh = folder / f".{NAME}.{os.getpid()}"  # Envoys that run keep the old file; builds at one time do not mix
    try:
        run([*command, *options, *map(str, sources), "-o", str(fresh)])
        fresh.replace(library)
    finally:
        fresh.unlink(missing_ok=True)
    return library


def run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise ModuleError(f"the gate does not build: {' '.join(command)}\n{result.stderr}")


def compiler() -> list[str] | None:
    """The command of the system's C++ compiler ($CXX first), else that of ziglang, else None."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        found = shutil.which(name) if name else None
        if found:
            return [found]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "c++"]
    return None


def check(envoy: Path) -> None:
    """Raises a ModuleError unless that Envoy speaks the ABI which the gate was written for.

    Envoy itself only warns of another version and then calls into the module all the same. The version is a text among
    its read-only data.
    """
    with envoy.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        speaks = text.find(b"\0" + ABI.encode() + b"\0") >= 0
    if not speaks:
        raise ModuleError(f"{envoy} does not speak the dynamic-module ABI {ABI}: the gate is made for Envoy 1.40")
