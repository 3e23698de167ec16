# SPDX-License-Identifier: Apache-2.0
"""Programs in C++ that are compiled with a sanitizer of the system's compiler, for tests.

Compiling takes most of a minute, so the programs are kept in a cache folder, under a fingerprint of their sources.
"""

import fcntl
import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tidegate.kit import native

WARNINGS = ("-Wall", "-Wextra", "-Werror")


def compiled(name: str, sources: Sequence[Path], sanitizer: str, cache: Path) -> Path | None:
    """The program; None if the compiler has no such sanitizer. `sanitizer`: a value of -fsanitize."""
    command = native.compiler()
    if command is None or len(command) > 1:  # zig has no sanitizer runtimes
        return None
    options = [*command, "-std=c++20", "-O1", "-g1", "-pthread", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    program = cache / f"{name}-{sanitizer}-{fingerprint(options, sources)}"
    with (cache / f"{name}-{sanitizer}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes, one compiles
        if program.exists():
            return program
        if not is_supported(options):
            return None
        for outdated in cache.glob(f"{name}-{sanitizer}-*"):
            outdated.unlink()
        unfinished = program.with_suffix(".new")
        subprocess.run([*options, *WARNINGS, "-o", str(unfinished), *map(str, sources)], check=True)
        return unfinished.rename(program)


def is_supported(options: Sequence[str]) -> bool:
    """Whether an empty program can be compiled and linked with these options."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*options, "-xc++", "-", "-o", f"{folder}/program"]
        result = subprocess.run(command, input="int main() {}", text=True, capture_output=True, check=False)
    return result.returncode == 0


def fingerprint(options: Sequence[str], sources: Sequence[Path]) -> str:
    """A digest of the command, the sources, and the headers in their folders."""
    folders = {path.parent for path in sources}
    headers = {header for folder in folders for header in folder.glob("*.h")}
    digest = hashlib.sha256(repr(options).encode())
    for path in sorted({*sources, *headers}):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
