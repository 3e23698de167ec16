# SPDX-License-Identifier: Apache-2.0
"""The gate's own tests in C++ (`gate/test/`), compiled with sanitizers."""

import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import sanitizers
from tidegate.gateway import module

SANITIZERS = ["address,undefined", "thread"]
NEEDS_ENVOY = {"hooks.cc", "http_filter.cc", "http_restart.cc", "policy.cc", "upstream_socket.cc"}
SOURCES = [path for path in sorted(module.GATE.sources.glob("*.cc")) if path.name not in NEEDS_ENVOY]
TESTS = sorted((module.GATE.sources / "test").glob("*.cc"))


@pytest.fixture(scope="module")
def programs(pytestconfig: pytest.Config) -> dict[str, Future[Path | None]]:
    """The test program by sanitizer, None if the compiler has no such sanitizer. Both are compiled at the same time."""
    folder = pytestconfig.cache.mkdir("gate") if pytestconfig.cache is not None else Path()
    pool = ThreadPoolExecutor(len(SANITIZERS))
    return {each: pool.submit(sanitizers.compiled, "gate", [*SOURCES, *TESTS], each, folder) for each in SANITIZERS}


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_the_decision_passes_its_tests_under_a_sanitizer(
    sanitizer: str, programs: dict[str, Future[Path | None]]
) -> None:
    program = programs[sanitizer].result()
    if program is None:
        pytest.skip(f"no compiler with -fsanitize={sanitizer}")
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
