# SPDX-License-Identifier: Apache-2.0
"""A reader of a volume sees all of its old files or all of the new ones."""

import os
import tempfile
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kit import trees
from tidegate.node.volumes import atomic_writer
from tidegate.node.volumes.payload import Payload, VolumeFile

NOW = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)

names = st.sampled_from(["a", "b", "c", "d"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


def without_conflicts(files: dict[str, VolumeFile]) -> dict[str, VolumeFile]:
    return {path: file for path, file in files.items() if not any(other.startswith(f"{path}/") for other in files)}


files = st.builds(VolumeFile, st.binary(max_size=8), st.sampled_from([0o644, 0o400, 0o600]), st.none())
payloads = st.dictionaries(paths, files, max_size=5).map(without_conflicts)


def shown(folder: Path) -> dict[str, VolumeFile]:
    """The files of a volume, as a program sees them by its names."""
    found = {}
    for entry in folder.iterdir():
        if not entry.name.startswith(".."):
            for place, _, inside in os.walk(entry, followlinks=True):
                for name in inside:
                    found[str(Path(place, name).relative_to(folder))] = Path(place, name)
            if entry.is_file():
                found[entry.name] = entry
    return {path: VolumeFile(place.read_bytes(), place.stat().st_mode & 0o7777) for path, place in found.items()}


def own_entries(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if entry.name.startswith("..")}


def of(**texts: str) -> Payload:
    return {path: VolumeFile(text.encode(), 0o644) for path, text in texts.items()}


@given(st.lists(payloads, min_size=1, max_size=4))
def test_a_volume_has_exactly_the_files_of_its_last_write(
    tmp_path_factory: pytest.TempPathFactory, given_payloads: list[dict[str, VolumeFile]]
) -> None:
    folder = tmp_path_factory.mktemp("volume")
    for payload in given_payloads:
        changed = atomic_writer.write(folder, payload, NOW)
        again = atomic_writer.write(folder, payload, NOW)

        assert shown(folder) == payload
        assert not again
        assert changed or payload in given_payloads
    assert own_entries(folder) == {"..data", (folder / "..data").readlink().name}


def test_a_write_that_died_at_any_step_is_completed_by_the_next_one(tmp_path: Path) -> None:
    steps = ("mkdtemp", "write_bytes", "symlink_to", "replace", "unlink", "remove")
    for step in steps:
        for nth in range(4):
            folder = tmp_path / f"{step}{nth}"
            folder.mkdir()
            atomic_writer.write(folder, of(a="old", b="old"), NOW)

            died = _die_at(folder, step, nth)

            values = {file.content for file in shown(folder).values()}
            assert len(values) <= 1, (step, nth, died)
            atomic_writer.write(folder, of(b="new", c="new"), NOW)
            assert shown(folder) == of(b="new", c="new"), (step, nth)
            assert len(own_entries(folder)) == 2


def _die_at(folder: Path, step: str, nth: int) -> bool:
    """Write in a process that ends at the nth call of a step."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    calls = 0
    owner: object = {"mkdtemp": tempfile, "remove": trees}.get(step, Path)
    real = getattr(owner, step)

    def fatal(*given: object, **named: object) -> object:
        nonlocal calls
        if calls == nth:
            os._exit(7)
        calls += 1
        return real(*given, **named)

    setattr(owner, step, fatal)
    atomic_writer.write(folder, of(b="new", c="new"), NOW)
    os._exit(0)


def test_a_reader_never_sees_files_of_two_writes(tmp_path: Path) -> None:
    atomic_writer.write(tmp_path, of(a="0", b="0"), NOW)
    ended = threading.Event()
    torn: list[set[str]] = []

    def read() -> None:
        while not ended.is_set():
            with suppress(FileNotFoundError):  # replaced since its name was looked up
                folder = os.open(tmp_path / "..data", os.O_RDONLY)
                try:
                    seen = {(Path(f"/proc/self/fd/{folder}") / name).read_text() for name in ("a", "b")}
                    torn.extend([seen] if len(seen) != 1 else [])
                finally:
                    os.close(folder)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        atomic_writer.write(tmp_path, of(a=str(number), b=str(number)), NOW)
    ended.set()
    reader.join()

    assert torn == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_volume_for_a_group_is_readable_for_it(tmp_path: Path) -> None:
    atomic_writer.write(tmp_path, {"x/key": VolumeFile(b"value", 0o400, 1001)}, NOW, group=2000)

    file, parent = (tmp_path / "x/key").stat(), (tmp_path / "x").stat()
    assert (file.st_uid, file.st_gid, file.st_mode & 0o7777) == (1001, 2000, 0o440)
    assert (parent.st_gid, parent.st_mode & 0o7777) == (2000, 0o2755)
