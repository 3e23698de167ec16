# SPDX-License-Identifier: Apache-2.0
"""The store on a disk that is full: a small tmpfs, where this machine lets us mount one."""

import asyncio
from pathlib import Path

import pytest

from tests.disk import Disk, small_disk
from tests.store.test_store import A, B, pod, put
from tidegate.kit.supervision import State
from tidegate.model import errors
from tidegate.model.objects import Key, resource_version
from tidegate.store.log import Log, Row, StoreError
from tidegate.store.store import Store

RESERVE = 8 * 1024 * 1024

__all__ = ["small_disk"]


async def test_a_write_on_a_full_disk_is_refused_with_the_reason_and_reads_go_on(small_disk: Disk) -> None:
    async with Store.open(small_disk.path / "state.db") as store:
        stored = await put(store, A, n=1)
        small_disk.fill()

        with pytest.raises(errors.InsufficientStorage, match="could not be written: no space left on device") as error:
            for _ in range(1000):  # the file has some room left of its own
                await put(store, B, text="x" * 100_000)

        assert error.value.status()["code"] == 507
        assert store.get("pods", A) is stored
        assert (store.health.state, store.health.error) == (State.FAILING, str(error.value))


async def test_writes_go_on_once_there_is_room_and_nothing_acknowledged_is_lost(small_disk: Disk) -> None:
    acknowledged: dict[Key, int] = {}

    async def write(store: Store, number: int) -> None:
        key = Key("default", f"pod-{number % 40}")
        stored = await store.change("pods", key, lambda old: pod(key.name, n=number, text="x" * 20_000))
        assert stored is not None
        acknowledged[key] = resource_version(stored)

    path = small_disk.path / "state.db"
    async with Store.open(path, history=50) as store:  # so short that old rows are dropped meanwhile
        for _ in range(3):
            small_disk.fill()
            with pytest.raises(errors.InsufficientStorage):
                for number in range(10_000):
                    await write(store, number)
            small_disk.free()
            await asyncio.gather(*(write(store, number) for number in range(40)))
        assert store.health.state is State.RUNNING

    async with Store.open(path) as store:
        found = {key: store.get("pods", key) for key in acknowledged}
        assert {key: resource_version(obj) for key, obj in found.items() if obj is not None} == acknowledged


@pytest.mark.parametrize("small_disk", [32], indirect=True)
async def test_what_is_reserved_takes_writes_while_the_disk_is_full(small_disk: Disk) -> None:
    async with Store.open(small_disk.path / "state.db", reserve=RESERVE) as store:
        small_disk.fill()

        for number in range(1000):
            await put(store, Key("default", f"pod-{number}"), text="x" * 2000)

        assert store.health.state is State.RUNNING


async def test_old_rows_that_cannot_be_dropped_leave_no_transaction_behind(tmp_path: Path) -> None:
    log = Log(tmp_path / "state.db")
    log._db.execute("CREATE TRIGGER refuse BEFORE DELETE ON log BEGIN SELECT RAISE(FAIL, 'refused'); END")
    log.append([Row(1, "pods", "default", "a", b"{}")])

    with pytest.raises(Exception, match="refused"):
        log.forget([1], 1)

    assert not log._db.in_transaction
    log.close()


async def test_a_file_that_breaks_while_the_store_is_open_ends_it_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with Store.open(path, history=50) as store:
        damaged = asyncio.create_task(store.damaged())
        for number in range(3000):  # more than SQLite keeps in memory
            await put(store, Key("default", f"pod-{number}"), text="x" * 2000)
        store._log._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(8 * 4096)
            file.write(b"?" * 1000 * 4096)
        for number in range(3000):  # so that old rows are looked for
            await put(store, Key("default", f"pod-{number}"))

        with pytest.raises(StoreError, match=r"is damaged \(.*\): restore it, or start without it by `tidegate up"):
            await damaged
        assert store.health.state is State.FAILING
