# SPDX-License-Identifier: Apache-2.0
"""For all tests."""

import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The time of an example depends on the machine: a test must not fail because others run beside it.
settings.register_profile("tidegate", deadline=None)
settings.load_profile("tidegate")

# A shell starts what runs in its background with SIGINT ignored, and children inherit that: tests of Ctrl-C would hang.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before the fixtures of a test that will be skipped
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `needs("kubectl")` is skipped where that program is not installed, and one marked `needs("root")`
    where another user runs the tests; in CI they fail."""
    needed = {program for mark in item.iter_markers("needs") for program in mark.args}
    absent = sorted(program for program in needed if not is_installed(program))
    if absent and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(absent)}", pytrace=False)
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")


@functools.cache
def is_installed(program: str) -> bool:
    """Whether a program is installed; kubectl must be 1.26 or newer (it lists events): older ones print other texts.
    `root` is not a program: it stands for the rights of root."""
    if program == "root":
        return os.geteuid() == 0
    if shutil.which(program) is None:
        return False
    if program != "kubectl":
        return True
    return subprocess.run(["kubectl", "events", "--help"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def passable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that apps can enter: if root runs the tests, apps are other users, and pytest's folder is for root."""
    if os.geteuid() != 0:
        yield tmp_path_factory.getbasetemp()
        return
    with tempfile.TemporaryDirectory(prefix="tidegate-tests-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def tmp_path(tmp_path: Path, passable: Path) -> Path:
    """Like pytest's, but apps can reach it."""
    if passable in tmp_path.parents:
        return tmp_path
    folder = Path(tempfile.mkdtemp(prefix=f"{tmp_path.name}-", dir=passable))
    folder.chmod(0o711)
    return folder
