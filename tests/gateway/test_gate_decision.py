# SPDX-License-Identifier: Apache-2.0
"""The gate's own tests in C++ (`gate/test/`), compiled with the sanitizers that the system's compiler has, and run."""

import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tidegate.gateway import module

SANITIZERS = ["address,undefined", "thread"]
EMPTY = "int main() {}"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Future[Path | None]]:
    """The test program by sanitizer, both being compiled at a time; None where the compiler lacks that sanitizer."""
    folder = tmp_path_factory.mktemp("gate")
    pool = ThreadPoolExecutor(len(SANITIZERS))
    return {sanitizer: pool.submit(compiled, sanitizer, folder) for sanitizer in SANITIZERS}


def compiled(sanitizer: str, folder: Path) -> Path | None:
    command = module.compiler()
    if command is None or len(command) > 1:  # zig has no sanitizer runtimes
        return None
    program = folder / sanitizer
    options = [*command, "-std=c++20", "-O1", "-g1", "-pthread", f"-fsanitize={sanitizer}", "-o", str(program)]
    if subprocess.run([*options, "-xc++", "-"], input=EMPTY, text=True, capture_output=True, check=False).returncode:
        return None
    sources = [path for path in module.SOURCES.glob("*.cc") if path.name != "filter.cc"]
    tests = (module.SOURCES / "test").glob("*.cc")
    subprocess.run([*options, "-Wall", "-Wextra", "-Werror", *map(str, [*sources, *tests])], check=True)
    return program


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_the_decision_holds_under(sanitizer: str, programs: dict[str, Future[Path | None]]) -> None:
    program = programs[sanitizer].result()
    if program is None:
        pytest.skip(f"no compiler with -fsanitize={sanitizer}")
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
