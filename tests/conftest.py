# SPDX-License-Identifier: Apache-2.0
"""For all tests."""

import functools
import os
import shutil
import subprocess

import pytest
from hypothesis import settings

# How long an example takes is the machine's affair: a test must not fail for being run beside others.
settings.register_profile("tidegate", deadline=None)
settings.load_profile("tidegate")


@pytest.hookimpl(tryfirst=True)  # before the fixtures of a test that is to be skipped
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `needs("kubectl")` is skipped where that program is not installed; in CI it fails."""
    needed = {program for mark in item.iter_markers("needs") for program in mark.args}
    absent = sorted(program for program in needed if not is_installed(program))
    if absent and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(absent)}", pytrace=False)
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")


@functools.cache
def is_installed(program: str) -> bool:
    """Of kubectl, 1.26 or newer, which can list events: what older ones print and can do is not what the tests say."""
    if shutil.which(program) is None:
        return False
    if program != "kubectl":
        return True
    return subprocess.run(["kubectl", "events", "--help"], capture_output=True, check=False).returncode == 0
