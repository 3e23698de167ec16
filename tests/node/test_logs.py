# SPDX-License-Identifier: Apache-2.0
"""Logs: the part that is kept, and the part that a reader gets."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.disk import Disk, small_disk
from tidegate.kit.clock import VirtualClock
from tidegate.model.logs import LogOptions
from tidegate.node import log_reader
from tidegate.node.logs import ContainerLog

__all__ = ["small_disk"]

START = datetime(2026, 1, 1, tzinfo=UTC)


class App:
    """Writes as a process does: to the descriptor it was given."""

    def __init__(self, log: ContainerLog) -> None:
        self.output = log.begin()

    def write(self, text: str) -> None:
        os.write(self.output, text.encode())

    def end(self) -> None:
        os.close(self.output)


async def read(log: ContainerLog, **options: Any) -> str:
    chunks = log.read(LogOptions(**options), clock=VirtualClock(), live=lambda: False)
    return b"".join([chunk async for chunk in chunks]).decode()


async def test_only_the_previous_run_is_kept(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path, "app")
    for text in ("one\n", "two\n", "three\n"):
        app = App(log)
        app.write(text)
        app.end()

    assert await read(log) == "three\n"
    assert await read(log, previous=True) == "two\n"


async def test_a_run_that_never_was_has_no_file(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path, "app")
    with pytest.raises(FileNotFoundError):
        await read(log)
    App(log).end()
    with pytest.raises(FileNotFoundError):
        await read(log, previous=True)
    assert await read(log) == ""


@given(st.lists(st.text("ab é", max_size=5), max_size=8), st.booleans(), st.integers(0, 10))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_the_tail_is_the_last_lines(tmp_path: Path, lines: list[str], ended: bool, wanted: int) -> None:
    log = ContainerLog(tmp_path, "app")
    app = App(log)
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    app.write(text)
    app.end()

    expected = "".join(text.splitlines(keepends=True)[-wanted:]) if wanted else ""
    assert asyncio.run(read(log, tail_lines=wanted)) == expected


async def test_the_tail_of_a_long_log_spans_pieces(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path, "app")
    app = App(log)
    lines = [f"{number:06} {'x' * 90}\n" for number in range(5000)]
    app.write("".join(lines))
    app.end()

    assert await read(log, tail_lines=2000) == "".join(lines[-2000:])
    assert await read(log, limit_bytes=150) == "".join(lines)[:150]


async def test_since_and_timestamps_use_the_notes(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path, "app")
    app = App(log)
    app.write("early\n")
    log.note(START + timedelta(seconds=1))
    app.write("late\nlater\n")
    log.note(START + timedelta(seconds=9))
    app.write("now")
    app.end()

    assert await read(log, since=START + timedelta(seconds=5)) == "late\nlater\nnow"
    assert await read(log, since=START) == "early\nlate\nlater\nnow"
    assert (await read(log, timestamps=True)).splitlines() == [
        "2026-01-01T00:00:01.000000000Z early",
        "2026-01-01T00:00:09.000000000Z late",
        "2026-01-01T00:00:09.000000000Z later",
        "2026-01-01T00:00:00.000000000Z now",  # nobody has noted it yet: the clock's time
    ]


async def test_a_bounded_log_keeps_its_end_and_begins_with_a_whole_line(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path, "app", keep=64 * 1024)
    app = App(log)
    lines = [f"{number:06} {'x' * 90}\n" for number in range(5000)]
    for start in range(0, 5000, 100):
        app.write("".join(lines[start : start + 100]))
        log.note(START + timedelta(seconds=start))
        assert log.path.stat().st_blocks * 512 <= 100 * 1024
    kept = (await read(log)).splitlines(keepends=True)
    app.write("more\n")
    app.end()

    assert 64 * 1024 - 5000 <= sum(map(len, kept)) <= 100 * 1024
    assert kept == lines[-len(kept) :]
    assert (await read(log, tail_lines=2)) == lines[-1] + "more\n"
    assert "000000" not in log.last_lines()


@pytest.mark.parametrize("options", [{}, {"tail_lines": 3}, {"since": START}, {"timestamps": True}])
async def test_a_log_that_its_app_has_made_huge_is_read_up_to_the_bound_of_logs(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """Holes cost the app nothing: a terabyte of zeros is made by one call."""
    log = ContainerLog(tmp_path, "app", keep=64 * 1024)
    app = App(log)
    app.write("first\n")
    os.truncate(log.path, 2**40)
    app.write("\nlast\n")
    app.end()

    text = await read(log, **options)

    assert text.endswith("last\n")
    assert len(text) <= 2 * 64 * 1024 + 100


async def test_a_follower_of_a_log_that_its_app_makes_huge_continues_at_its_end(tmp_path: Path) -> None:
    log, clock = ContainerLog(tmp_path, "app", keep=1024), VirtualClock()
    app = App(log)
    app.write("first\n")
    alive = True
    chunks = log.read(LogOptions(follow=True), clock=clock, live=lambda: alive)
    assert await anext(chunks) == b"first\n"
    os.truncate(log.path, 2**40)
    app.write("\nlast\n")
    app.end()
    alive = False

    following = asyncio.create_task(_all(chunks))
    await clock.advance(0.2)

    text = await following
    assert text.endswith(b"last\n")
    assert len(text) <= 2 * 1024


async def test_a_line_without_an_end_gets_its_time_in_pieces(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path, "app")
    app = App(log)
    app.write("x" * 3 * 2**20)
    app.end()

    chunks = log.read(LogOptions(timestamps=True), clock=VirtualClock(), live=lambda: False)
    sizes = [len(chunk) async for chunk in chunks]

    assert sum(sizes) >= 3 * 2**20
    assert max(sizes) < 2 * 2**20


async def _all(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_a_follower_gets_new_lines_until_the_run_has_ended(tmp_path: Path) -> None:
    log, clock = ContainerLog(tmp_path, "app"), VirtualClock()
    app = App(log)
    app.write("one\n")
    alive = True
    got: list[bytes] = []

    async def follow() -> None:
        async for chunk in log.read(LogOptions(follow=True), clock=clock, live=lambda: alive):
            got.append(chunk)

    following = asyncio.create_task(follow())
    await clock.advance(0.1)
    app.write("two\n")
    await clock.advance(0.1)
    assert got == [b"one\n", b"two\n"]
    app.write("three\n")
    alive = False
    app.end()
    await clock.advance(0.2)
    await following
    assert got[2:] == [b"three\n"]


async def test_a_follower_of_a_run_ends_when_the_next_one_begins(tmp_path: Path) -> None:
    log, clock = ContainerLog(tmp_path, "app"), VirtualClock()
    App(log).end()
    chunks = log.read(LogOptions(follow=True), clock=clock, live=lambda: True)
    following = asyncio.create_task(anext(chunks, b""))
    await clock.advance(0.1)
    App(log).end()
    await clock.advance(0.2)
    assert await following == b""


def test_the_last_lines_are_bounded(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path, "app")
    assert log.last_lines() == ""
    app = App(log)
    app.write("x" * 5000 + "\n" + "\n".join(str(number) for number in range(200)) + "\nfatal: é\n")
    app.end()

    words = log.last_lines()
    assert words.endswith("199\nfatal: é")
    assert len(words.splitlines()) <= 80
    assert len(words.encode()) <= 2048


def test_a_log_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path, "app")
    app = App(log)
    app.write("secret\n")
    log.note(START)
    app.end()

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


async def test_a_log_on_a_full_disk_stays_within_its_bound_and_is_noted_once_there_is_room(small_disk: Disk) -> None:
    long, short = ContainerLog(small_disk.path, "long", keep=64 * 1024), ContainerLog(small_disk.path, "short")
    for log, text in ((long, "x" * 1023 + "\n"), (short, "a line\n")):
        app = App(log)
        app.write(text * (1000 if log is long else 1))
        app.end()
    small_disk.fill()

    with pytest.raises(OSError, match="No space left"):
        short.note(START)
    long.note(START)  # what it gives back is room for its note
    short.note(START)

    assert long.path.stat().st_blocks * 512 < 128 * 1024
    assert await read(short, timestamps=True) == "2026-01-01T00:00:00.000000000Z a line\n"


async def test_the_times_of_a_log_are_bounded_and_the_newest_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "MOST_MARKS", 10)
    log = ContainerLog(tmp_path, "app")
    app = App(log)
    for second in range(100):
        app.write(f"line {second}\n")
        log.note(START + timedelta(seconds=second))
    app.end()

    assert (tmp_path / "app.times").stat().st_size <= 20 * 16
    lines = (await read(log, timestamps=True)).splitlines()
    assert lines[-1] == "2026-01-01T00:01:39.000000000Z line 99"


@pytest.mark.parametrize("kind", ["link", "fifo"])
async def test_a_file_that_an_app_puts_in_place_of_its_log_is_not_read_and_blocks_no_reader(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / "secret").write_text("a secret")
    log = ContainerLog(tmp_path, "c")
    os.close(log.begin())
    log.path.unlink()
    if kind == "link":
        log.path.symlink_to(tmp_path / "secret")
    else:
        os.mkfifo(log.path)

    log.note(START)
    assert log.last_lines() == ""
    with pytest.raises(FileNotFoundError):
        _ = [chunk async for chunk in log.read(LogOptions(), clock=VirtualClock(), live=lambda: False)]

    os.close(log.begin())  # the next run has a file again
    assert log.path.is_file()
    assert not log.path.is_symlink()
