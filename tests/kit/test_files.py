# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from tidegate.kit.files import open_log, open_regular, write_whole


def test_a_file_is_replaced_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    path.chmod(0o644)

    write_whole(path, b"new")

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)


def test_a_failed_write_leaves_only_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()

    with pytest.raises(OSError):
        write_whole(folder, b"new")

    assert list(tmp_path.iterdir()) == [folder]


def test_a_log_is_appended_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "log"

    for line in (b"one\n", b"two\n"):
        with open_log(path) as log:
            log.write(line)

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one\ntwo\n", 0o600)


def test_a_file_that_another_process_left_half_written_is_not_used(tmp_path: Path) -> None:
    path, victim = tmp_path / "record.json", tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / f".record.json.{os.getpid()}").symlink_to(victim)

    write_whole(path, b"new")

    assert (path.read_bytes(), path.is_symlink(), victim.read_text()) == (b"new", False, "untouched")


def test_a_log_that_is_a_symbolic_link_is_not_written(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (tmp_path / "log").symlink_to(victim)

    with pytest.raises(OSError, match="symbolic links"):
        open_log(tmp_path / "log")

    assert not victim.exists()


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT | os.O_APPEND])
def test_a_link_or_a_fifo_in_the_place_of_a_file_counts_as_missing_and_blocks_nobody(
    tmp_path: Path, flags: int
) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "fifo")

    for name in ("link", "dangling", "fifo"):
        with pytest.raises(FileNotFoundError):
            open_regular(tmp_path / name, flags)
    os.close(open_regular(tmp_path / "file", flags))
    assert not (tmp_path / "nothing").exists()
