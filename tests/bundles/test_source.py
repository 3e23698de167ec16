# SPDX-License-Identifier: Apache-2.0
"""The files of a source: their digest, and files that a bundle cannot have."""

import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bundles.world import app, build, folder_of
from tidegate.bundles import source
from tidegate.bundles.bundle import BundleError
from tidegate.bundles.source import Source, SourceError


def rejection(folder: Path) -> str:
    """The reason why a folder cannot be packed, which is one line."""
    with pytest.raises(SourceError) as failure:
        Source.of(folder)
    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 500
    return str(failure.value)


@pytest.mark.parametrize("change", ["content", "mode", "name", "link"])
def test_every_change_that_an_app_can_see_changes_the_digest(tmp_path: Path, change: str) -> None:
    folder = app(tmp_path / "app", data="x")
    before = Source.of(folder).digest()
    data = folder / "data"
    if change == "content":
        data.write_text("y")
    elif change == "mode":
        data.chmod(0o755)
    elif change == "name":
        data.rename(folder / "date")
    else:
        data.unlink()
        data.symlink_to("x")
    assert Source.of(folder).digest() != before


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1755, 0o700, 0o4777])
def test_only_the_executable_bit_of_a_mode_changes_the_digest(tmp_path: Path, mode: int) -> None:
    folder = app(tmp_path / "app", program="x")
    (folder / "program").chmod(0o755)
    before = Source.of(folder).digest()
    (folder / "program").chmod(mode)

    assert Source.of(folder).digest() == before
    built = build(tmp_path, folder)
    assert stat.S_IMODE((built.source / "program").stat().st_mode) == 0o755
    assert stat.S_IMODE((built.source / "app.py").stat().st_mode) == 0o644


def test_links_within_the_folder_are_packed_as_they_are(tmp_path: Path) -> None:
    folder = app(tmp_path / "app", **{"a/file": "x", "b/other": "x"})
    for link, target in {"a/link": "../b/other", "b/up": "..", "dangling": "later", "b/here": "up/a/link"}.items():
        (folder / link).symlink_to(target)
    built = build(tmp_path, folder)

    assert (built.source / "a/link").readlink() == Path("../b/other")
    assert (built.source / "b/here").read_text() == "x"
    assert (built.source / "dangling").is_symlink()


@pytest.mark.parametrize(
    ("links", "words"),
    [
        ({"a": "../outside"}, "the link a leads out of the folder"),
        ({"deep/a": "../../app/Procfile"}, "leads out of the folder"),
        ({"up": ".", "a": "up/../.."}, "leads out of the folder"),
        ({"a": "/etc/hostname"}, "leads to an absolute path"),
        ({"a": "a"}, "leads to itself"),
        ({"a": "b", "b": "deep/../a"}, "leads to itself"),
    ],
)
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, links: dict[str, str], words: str) -> None:
    folder = app(tmp_path / "app", **{"deep/file": "x"})
    for link, target in links.items():
        (folder / link).symlink_to(target)

    assert words in rejection(folder)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this user may not make devices")


@pytest.mark.parametrize(
    ("make", "kind"),
    [(fifo, "a named pipe"), (unix_socket, "a socket"), (device, "a device")],
    ids=["named pipe", "socket", "device"],
)
def test_pipes_sockets_and_devices_are_refused_by_name(tmp_path: Path, make: Callable[[Path], None], kind: str) -> None:
    folder = app(tmp_path / "app")
    make(folder / "special")

    assert rejection(folder).startswith(f"special is {kind}, which a bundle cannot have")
    (folder / ".gitignore").write_text("special\n")
    assert "special" not in Source.of(folder).files


def test_folders_that_are_too_deep_are_refused(tmp_path: Path) -> None:
    folder = app(tmp_path / "app")
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)

    try:
        assert "is more than 100 folders deep" in rejection(folder)
    finally:
        subprocess.run(["rm", "-r", folder / "deep"], check=True)  # deeper than Python can remove


def test_a_name_that_is_not_utf8_is_packed_as_it_is(tmp_path: Path) -> None:
    folder = app(tmp_path / "app")
    name = os.fsdecode(b"caf\xe9")
    (folder / name).write_text("x")
    built = build(tmp_path, folder)

    assert (built.source / name).read_text() == "x"


def test_an_unprintable_name_is_escaped_on_one_line(tmp_path: Path) -> None:
    folder = app(tmp_path / "app")
    os.mkfifo(folder / os.fsdecode(b"caf\xe9\n\x1b[2J"))

    assert rejection(folder).startswith("caf\\xe9\\n\\x1b[2J is a named pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    folder = app(tmp_path / "app", data="x")
    (folder / "data").chmod(0)

    assert rejection(folder) == "data cannot be read: Permission denied"


def test_a_file_that_changes_while_it_is_packed_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    folder = app(tmp_path / "app", data="x")
    hashed = Source.of(folder)
    (folder / "data").write_text("y")

    with pytest.raises(SourceError, match="data has changed while it was packed"):
        hashed.copy(tmp_path / "target")


def test_a_file_replaced_by_a_pipe_does_not_block(tmp_path: Path) -> None:
    folder = app(tmp_path / "app", data="x")
    hashed = Source.of(folder)
    (folder / "data").unlink()
    os.mkfifo(folder / "data")

    with pytest.raises(SourceError, match="data has changed while it was packed"):
        hashed.copy(tmp_path / "target")


def test_a_file_deleted_meanwhile_is_named(tmp_path: Path) -> None:
    folder = app(tmp_path / "app", data="x")
    hashed = Source.of(folder)
    (folder / "data").unlink()

    with pytest.raises(SourceError, match="data cannot be read: No such file or directory"):
        hashed.copy(tmp_path / "target")


def test_a_missing_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    assert rejection(tmp_path / "absent") == f"{tmp_path / 'absent'} is not a folder"
    assert "holds no file" in rejection(folder_of(tmp_path / "empty"))


def test_a_folder_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_FILES", 1)
    with pytest.raises(BundleError, match="holds more than 1 files; leave out"):
        build(tmp_path, app(tmp_path / "app"))
    monkeypatch.setattr(source, "MOST_FILES", 10)
    monkeypatch.setattr(source, "MOST_BYTES", 10)
    with pytest.raises(BundleError, match="holds more than 0 MiB; leave out"):
        build(tmp_path, app(tmp_path / "app"))
