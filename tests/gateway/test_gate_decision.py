# SPDX-License-Identifier: Apache-2.0
"""The gate's own tests in C++ (`gate/test/`), compiled with the sanitizers that the system's compiler has, and run.

Compiling takes most of a minute, so the programs are kept in pytest's cache, named by what they were made from.
"""

import hashlib
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tidegate.gateway import module
from tidegate.kit import native

SANITIZERS = ["address,undefined", "thread"]
EMPTY = "int main() {}"
NEEDS_ENVOY = {"hooks.cc", "http_filter.cc", "http_restart.cc", "policy.cc", "upstream_socket.cc"}


@pytest.fixture(scope="module")
def programs(pytestconfig: pytest.Config) -> dict[str, Future[Path | None]]:
    """The test program by sanitizer, both being compiled at a time; None where the compiler lacks that sanitizer."""
    folder = pytestconfig.cache.mkdir("gate") if pytestconfig.cache is not None else Path()
    pool = ThreadPoolExecutor(len(SANITIZERS))
    return {sanitizer: pool.submit(compiled, sanitizer, folder) for sanitizer in SANITIZERS}


def compiled(sanitizer: str, folder: Path) -> Path | None:
    command = native.compiler()
    if command is None or len(command) > 1:  # zig has no sanitizer runtimes
        return None
    options = [*command, "-std=c++20", "-O1", "-g1", "-pthread", f"-fsanitize={sanitizer}"]
    sources = [path for path in module.GATE.sources.glob("*.cc") if path.name not in NEEDS_ENVOY]
    sources += (module.GATE.sources / "test").glob("*.cc")
    program = folder / f"{sanitizer}-{fingerprint(options)}"
    if program.exists():
        return program
    try_out = [*options, "-xc++", "-", "-o", "/dev/null"]
    if subprocess.run(try_out, input=EMPTY, text=True, capture_output=True, check=False).returncode:
        return None
    for outdated in folder.glob(f"{sanitizer}-*"):
        outdated.unlink()
    unfinished = program.with_suffix(".new")
    subprocess.run([*options, "-Wall", "-Wextra", "-Werror", "-o", str(unfinished), *map(str, sources)], check=True)
    return unfinished.rename(program)


def fingerprint(options: list[str]) -> str:
    """What the program is made from: the command, and every source and header."""
    digest = hashlib.sha256(repr(options).encode())
    for path in sorted([*module.GATE.sources.rglob("*.cc"), *module.GATE.sources.rglob("*.h")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_the_decision_holds_under(sanitizer: str, programs: dict[str, Future[Path | None]]) -> None:
    program = programs[sanitizer].result()
    if program is None:
        pytest.skip(f"no compiler with -fsanitize={sanitizer}")
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
