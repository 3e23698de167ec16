# SPDX-License-Identifier: Apache-2.0
"""Trusted and untrusted folders: the rows of the table in `kit.trust`."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.kit import trust

STRANGER = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


def made(folder: Path, mode: int = 0o700) -> Path:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    return folder


def given_away(path: Path) -> Path:
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    return path


def test_the_user_s_own_folder_is_trusted(tmp_path: Path) -> None:
    home = made(tmp_path / "home")
    (home / "token").touch(mode=0o600)

    trust.require(home, home.glob("*"))


def test_a_missing_folder_is_trusted(tmp_path: Path) -> None:
    trust.require(tmp_path / "a" / "b", [tmp_path / "a" / "b" / "token"])


def test_a_sticky_folder_above_is_trusted(tmp_path: Path) -> None:
    trust.require(made(made(tmp_path / "shared", 0o1777) / "home"))


def test_the_user_s_own_link_to_a_trusted_folder_is_trusted(tmp_path: Path) -> None:
    home, disk = made(tmp_path / "home"), made(tmp_path / "disk")
    (home / "bundles").symlink_to(disk)

    trust.require(home, [home / "bundles"])


@as_root
@pytest.mark.parametrize("spoiled", ["above", "above/home", "above/home/token"])
def test_a_file_of_another_user_is_refused_with_its_path_and_owner(tmp_path: Path, spoiled: str) -> None:
    home = made(tmp_path / "above" / "home")
    (home / "token").touch(mode=0o600)
    given_away(tmp_path / spoiled)

    with pytest.raises(trust.Untrusted) as refused:
        trust.require(home, [home / "token"])

    assert str(refused.value).startswith(f"{tmp_path / spoiled} belongs to user {STRANGER}")
    assert "--data-dir" in str(refused.value)


@pytest.mark.parametrize("spoiled", ["above", "above/home", "above/home/token"])
@pytest.mark.parametrize("mode", [0o777, 0o702])
def test_a_world_writable_folder_is_refused(tmp_path: Path, spoiled: str, mode: int) -> None:
    home = made(tmp_path / "above" / "home")
    (home / "token").touch(mode=0o600)
    (tmp_path / spoiled).chmod(mode)

    with pytest.raises(trust.Untrusted, match=f"^{tmp_path / spoiled} .*can be written by everyone.*chmod go-w"):
        trust.require(home, [home / "token"])


def test_a_state_folder_itself_may_not_be_sticky_and_shared(tmp_path: Path) -> None:
    with pytest.raises(trust.Untrusted, match="everyone"):
        trust.require(made(tmp_path / "home", 0o1777))


@as_root
def test_a_folder_writable_by_a_shared_group_is_refused(tmp_path: Path) -> None:
    home = made(tmp_path / "home")
    os.chown(home, 0, STRANGER)
    home.chmod(0o770)

    with pytest.raises(trust.Untrusted, match=f"can be written by group {STRANGER}"):
        trust.require(home)


def to_a_shared_place(home: Path, elsewhere: Path) -> None:
    made(elsewhere, 0o777)
    (home / "bundles").symlink_to(elsewhere)


def planted(home: Path, elsewhere: Path) -> None:
    made(elsewhere)
    (home / "bundles").symlink_to(elsewhere)
    given_away(home / "bundles")


@pytest.mark.parametrize("link", [to_a_shared_place, pytest.param(planted, marks=as_root)])
def test_a_link_to_an_untrusted_folder_is_refused(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    home = made(tmp_path / "home")
    link(home, tmp_path / "elsewhere")

    with pytest.raises(trust.Untrusted):
        trust.require(home, [home / "bundles"])


@as_root
def test_a_link_above_that_another_user_made_is_refused(tmp_path: Path) -> None:
    shared = made(tmp_path / "shared", 0o1777)
    made(tmp_path / "mine" / "home")
    (shared / "link").symlink_to(tmp_path / "mine")
    given_away(shared / "link")

    with pytest.raises(trust.Untrusted, match=f"^{shared / 'link'} belongs to"):
        trust.require(shared / "link" / "home")
