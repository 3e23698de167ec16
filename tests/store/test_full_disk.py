# SPDX-License-Identifier: Apache-2.0
"""The store on a full disk: a small tmpfs. Skipped if this machine allows no mount."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.disk import Disk, small_disk
from tests.store.test_store import A, B, pod, put
from tidegate.kit.supervision import HealthState
from tidegate.model import errors
from tidegate.model.objects import Key, resource_version
from tidegate.store.database import Database, StoreError, VersionRow
from tidegate.store.store import Store

RESERVE = 8 * 1024 * 1024

__all__ = ["small_disk"]


async def test_a_write_on_a_full_disk_is_refused_with_the_reason_while_reads_continue(small_disk: Disk) -> None:
    async with Store.open(small_disk.path / "state.db") as store:
        stored = await put(store, A, n=1)
        small_disk.fill()

        with pytest.raises(errors.InsufficientStorage, match="could not be written: no space left on device") as error:
            for _ in range(1000):  # the file has some free pages
                await put(store, B, text="x" * 100_000)

        assert error.value.status()["code"] == 507
        assert store.get("pods", A) is stored
        assert (store.health.state, store.health.error) == (HealthState.FAILING, str(error.value))


async def test_writes_continue_when_there_is_room_again_and_no_acknowledged_write_is_lost(small_disk: Disk) -> None:
    acknowledged: dict[Key, int] = {}

    async def write(store: Store, number: int) -> None:
        key = Key("default", f"pod-{number % 40}")
        stored = await store.change("pods", key, lambda old: pod(key.name, n=number, text="x" * 20_000))
        assert stored is not None
        acknowledged[key] = resource_version(stored)

    path = small_disk.path / "state.db"
    async with Store.open(path, history=50) as store:  # short, so that old rows are deleted meanwhile
        for _ in range(3):
            small_disk.fill()
            with pytest.raises(errors.InsufficientStorage):
                for number in range(10_000):
                    await write(store, number)
            small_disk.free()
            await asyncio.gather(*(write(store, number) for number in range(40)))
        assert store.health.state is HealthState.RUNNING

    async with Store.open(path) as store:
        found = {key: store.get("pods", key) for key in acknowledged}
        assert {key: resource_version(obj) for key, obj in found.items() if obj is not None} == acknowledged


@pytest.mark.parametrize("small_disk", [32], indirect=True)
async def test_the_reserve_takes_writes_while_the_disk_is_full(small_disk: Disk) -> None:
    async with Store.open(small_disk.path / "state.db", reserve=RESERVE) as store:
        small_disk.fill()

        for number in range(1000):
            await put(store, Key("default", f"pod-{number}"), text="x" * 2000)

        assert store.health.state is HealthState.RUNNING


async def test_a_failed_deletion_of_old_rows_leaves_no_open_transaction(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    Database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TRIGGER refuse BEFORE DELETE ON log BEGIN SELECT RAISE(FAIL, 'refused'); END")
    database = Database(path)
    database.append([VersionRow(1, "pods", "default", "a", b"{}")])

    with pytest.raises(sqlite3.Error, match="refused"):
        database.delete([1], 1)

    database.append([VersionRow(2, "pods", "default", "b", b"{}")])
    database.close()  # which rolls back an open transaction
    with closing(Database(path)) as reopened:
        assert [row.revision for row in reopened.rows()] == [1, 2]


async def test_a_file_damaged_while_the_store_is_open_stops_it_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with Store.open(path, history=50) as store:
        damaged = asyncio.create_task(store.damaged())
        await put(store, Key("default", "pod-0"))
        for number in range(3000):  # more than SQLite keeps in memory
            await put(store, Key("default", f"pod-{number}"), text="x" * 2000)
        await store.compact(store.revision)  # moves everything from the WAL to the file
        with path.open("r+b") as file:
            file.seek(8 * 4096)
            file.write(b"?" * 1000 * 4096)
        for number in range(3000):  # so that old rows are deleted
            await put(store, Key("default", f"pod-{number}"))

        with pytest.raises(StoreError, match=r"is damaged \(.*\): restore it, or start without it by `tidegate up"):
            await damaged
        assert store.health.state is HealthState.FAILING
