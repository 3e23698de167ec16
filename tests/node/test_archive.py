# SPDX-License-Identifier: Apache-2.0
"""Logs of ended instances: the bounds of their number, age and size."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.model import names
from tidegate.model.config.observability import ObservabilityConfig
from tidegate.model.objects import Key, Object, annotations, key
from tidegate.node.archive import Archive, Retention, retention

START = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 64 * 1024
WEEK = timedelta(days=7)


def pod(name: str, service: str = "hello", namespace: str = "default") -> Object:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": {names.SERVICE: service}}
    container = {"name": "app", "env": [{"name": "KEY", "value": "s3cret"}]}
    return {"metadata": metadata, "spec": {"containers": [container]}}


async def end(archive: Archive, folder: Path, obj: Object, now: datetime, *, size: int = SIZE) -> None:
    """An instance ends that has written `size` bytes."""
    place = folder / "instances" / obj["metadata"]["uid"]
    place.mkdir(parents=True)
    (place / "app.log").write_bytes(b"x" * size)
    (place / "record.json").touch()
    await archive.keep(obj, place, now)


def kept(archive: Archive, service: str = "hello") -> list[str]:
    return [key(obj).name for obj in archive.of(Key("default", service))]


async def test_the_log_of_an_ended_instance_is_found_by_its_service_and_by_its_name(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "logs")
    await end(archive, tmp_path, pod("a"), START)
    await end(archive, tmp_path, pod("b"), START + timedelta(seconds=1))
    await end(archive, tmp_path, pod("c", "other"), START)

    assert kept(archive) == ["a", "b"]
    found = archive.pod(Key("default", "b"))
    assert found is not None
    assert annotations(found)[names.ENDED] == "2026-01-01T00:00:01+00:00"
    place = archive.place("uid-b")
    assert place is not None
    assert (place / "app.log").stat().st_size == SIZE
    assert archive.of(Key("elsewhere", "hello")) == []
    assert archive.pod(Key("elsewhere", "a")) is None


async def test_an_archived_log_is_readable_for_its_owner_alone_and_has_only_a_part_of_the_pod(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "logs")
    await end(archive, tmp_path, pod("a"), START)

    assert (tmp_path / "logs" / "uid-a").stat().st_mode & 0o777 == 0o700
    assert "s3cret" not in (tmp_path / "logs" / "uid-a" / "pod.json").read_text()
    assert not (tmp_path / "logs" / "uid-a" / "record.json").exists()


async def test_an_instance_with_empty_logs_leaves_none(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "logs")
    await end(archive, tmp_path, pod("a"), START, size=0)
    await archive.keep(pod("never-started"), tmp_path / "instances" / "uid-never-started", START)

    assert kept(archive) == []
    assert not (tmp_path / "logs").exists()


async def test_the_next_agent_has_all_archived_logs_except_incomplete_ones(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "logs")
    await end(archive, tmp_path, pod("late"), START + timedelta(hours=1))
    await end(archive, tmp_path, pod("early"), START)
    (tmp_path / "logs" / "broken").mkdir()

    following = Archive(tmp_path / "logs")
    await following.load()
    assert kept(following) == ["early", "late"]
    assert not (tmp_path / "logs" / "broken").exists()


async def test_a_log_is_removed_once_it_is_too_old(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "logs", lambda: Retention(seconds=3600))
    await end(archive, tmp_path, pod("a"), START)
    await end(archive, tmp_path, pod("b"), START + timedelta(seconds=1800))
    await archive.prune(START + timedelta(seconds=3600))
    assert kept(archive) == ["a", "b"]

    await archive.prune(START + timedelta(seconds=3601))
    assert kept(archive) == ["b"]
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["uid-b"]
    await archive.prune(START + WEEK)
    assert list((tmp_path / "logs").iterdir()) == []


async def test_a_service_that_writes_much_displaces_only_its_own_logs(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "logs", lambda: Retention(bytes_of_service=3 * SIZE))
    await end(archive, tmp_path, pod("quiet", "quiet"), START)
    for number in range(5):
        await end(archive, tmp_path, pod(f"loud-{number}", "loud"), START + timedelta(seconds=number))

    assert kept(archive, "loud") == ["loud-3", "loud-4"]  # what says whose they are counts too
    assert kept(archive, "quiet") == ["quiet"]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5 * SIZE)), max_size=12),
    st.integers(0, 12 * SIZE),
    st.integers(0, 8 * SIZE),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
async def test_the_archive_never_exceeds_its_bounds(
    tmp_path_factory: pytest.TempPathFactory, ends: list[tuple[str, int]], in_all: int, of_service: int
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    archive = Archive(folder / "logs", lambda: Retention(bytes_in_all=in_all, bytes_of_service=of_service))
    for number, (service, size) in enumerate(ends):
        await end(archive, folder, pod(str(number), service), START + timedelta(seconds=number), size=size)
        sizes = {
            name: sum(
                sum(path.stat().st_blocks * 512 for path in (folder / "logs" / f"uid-{instance}").iterdir())
                for instance in kept(archive, name)
            )
            for name in "abc"
        }
        assert sum(sizes.values()) <= in_all
        assert max(sizes.values()) <= of_service


def test_the_bounds_are_settings() -> None:
    assert retention(ObservabilityConfig()) == Retention()
