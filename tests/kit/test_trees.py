# SPDX-License-Identifier: Apache-2.0
"""Removal of folder trees whose content another program wrote."""

import os
import resource
from pathlib import Path

from tidegate.kit import trees


def nest(folder: Path, levels: int) -> None:
    """Nested folders, each with a file: their path is longer than the longest path that the system accepts."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=place)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=place))
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)


def test_a_deep_tree_is_removed_with_few_open_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    nest(folder, 3000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        trees.remove(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert not folder.exists()


def test_links_out_of_a_tree_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").touch()
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    for place in (folder, folder / "a"):
        (place / "to-a-folder").symlink_to(outside)
        (place / "to-a-file").symlink_to(outside / "file")
        (place / "to-nothing").symlink_to("/nothing")
        os.mkfifo(place / "fifo")
    link = tmp_path / "link"
    link.symlink_to(outside)

    trees.remove(folder)
    trees.remove(link)

    assert not folder.exists()
    assert {path.name for path in outside.iterdir()} == {"folder", "file"}


def test_removing_a_missing_tree_does_nothing(tmp_path: Path) -> None:
    trees.remove(tmp_path / "nothing")
