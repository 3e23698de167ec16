# SPDX-License-Identifier: Apache-2.0
"""A file system of a few MB that a test may fill: a tmpfs. The test is skipped if it may not mount one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class Disk:
    """Its mount point, and a file that takes all its free space."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, *, but: int = 0) -> None:
        """Leave `but` bytes free, rounded down to a block."""
        with self._filler.open("ab", buffering=0) as filler:
            state = os.statvfs(self.path)
            wanted = max(state.f_bavail - but // state.f_bsize, 0)
            for _ in range(wanted):
                filler.write(b"x" * state.f_bsize)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disk]:
    """A disk of 8 MB, or of the size in the test's parameter."""
    path = tmp_path / "disk"
    path.mkdir()
    size = getattr(request, "param", 8)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=0700", "tmpfs", str(path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
