# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

from tests.disk import Disk, small_disk
from tidegate.kit.files import open_log
from tidegate.kit.rotation import rotate_by_copy

__all__ = ["small_disk"]

WRITES = """
import os, sys
from pathlib import Path
from tidegate.kit.rotation import rotate_own
log = Path(sys.argv[1])
for number in range(10):
    print(f"line {number} " + "x" * 100, flush=True)
    os.write(2, b"from elsewhere\\n")
    rotate_own(log, 200, 3)
"""


def test_a_process_continues_in_a_new_log_and_old_logs_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.log"
    with open_log(path) as log:
        subprocess.run([sys.executable, "-c", WRITES, str(path)], stdout=log, stderr=log, check=True)

    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "tidegate.log",
        *(f"tidegate.log.{number}" for number in (1, 2, 3)),
    ]
    assert path.read_text() == ""
    assert [line.split()[1] for line in (tmp_path / "tidegate.log.1").read_text().splitlines()] == [
        "8",
        "elsewhere",
        "9",
        "elsewhere",
    ]
    assert (tmp_path / "tidegate.log.1").stat().st_mode & 0o777 == 0o600


def test_the_output_of_another_process_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.log"
    path.write_text("x" * 1000)

    subprocess.run([sys.executable, "-c", WRITES, str(path)], stdout=subprocess.DEVNULL, stderr=-1, check=True)

    assert path.read_text() == "x" * 1000


def test_a_log_rotated_by_copy_is_truncated_for_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "envoy.log"
    with open_log(path) as log:
        os.write(log.fileno(), b"old " * 100)
        rotate_by_copy(path, 100, 1)
        os.write(log.fileno(), b"new")

    assert path.read_text() == "new"
    assert (tmp_path / "envoy.log.1").read_text() == "old " * 100
    assert (tmp_path / "envoy.log.1").stat().st_mode & 0o777 == 0o600


def test_a_log_is_truncated_without_a_copy_if_the_disk_is_full(small_disk: Disk) -> None:
    path = small_disk.path / "envoy.log"
    path.write_text("x" * 100_000)
    small_disk.fill()

    rotate_by_copy(path, 100, 1)

    assert path.read_text() == ""
    assert not (small_disk.path / "envoy.log.1").exists()
