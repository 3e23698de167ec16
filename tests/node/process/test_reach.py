# SPDX-License-Identifier: Apache-2.0
"""The folders that keep other users from reaching a path."""

from pathlib import Path

from tidegate.kit.files import first_unsearchable_folder
from tidegate.node.runtimes.process.reach import Reach, reach


def test_the_topmost_closed_folder_is_the_obstacle(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "open" / "closed" / "here"
    inner.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    (tmp_path / "closed" / "open" / "closed").chmod(0o700)
    link = tmp_path / "link"
    link.symlink_to(inner)

    assert first_unsearchable_folder(inner) == tmp_path / "closed"
    assert first_unsearchable_folder(link) == tmp_path / "closed"
    assert reach([inner, tmp_path / "closed", Path("/usr")]) == Reach((str(tmp_path / "closed"),), (str(inner),))


def test_open_folders_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()

    assert reach([tmp_path / "a" / "b", Path("/usr/bin")]) == Reach()
