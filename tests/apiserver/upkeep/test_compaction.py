# SPDX-License-Identifier: Apache-2.0
"""The bytes in the files of the store after objects were replaced or deleted."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.apiserver import opened
from tests.apiserver import make
from tidegate.apiserver.registry.api import Api
from tidegate.apiserver.upkeep.compaction import INTERVAL, Compaction
from tidegate.kit.clock import VirtualClock
from tidegate.model import errors
from tidegate.model.kinds import CONFIG_MAP, SECRET
from tidegate.model.objects import Key

DATA = base64.b64encode(b"correct horse battery staple").decode()
NEW_DATA = base64.b64encode(b"tr0ub4dor and three").decode()
SECRET_KEY = Key("default", "s")


def on_disk(folder: Path) -> bytes:
    """All bytes of the database and of the files that SQLite keeps beside it."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("state.db*")))


@asynccontextmanager
async def compacted(folder: Path) -> AsyncIterator[tuple[Api, VirtualClock]]:
    clock = VirtualClock()
    async with opened(folder, clock) as api:
        running = asyncio.create_task(Compaction(api.store, clock=clock).run())
        yield api, clock
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def pass_two_intervals(clock: VirtualClock) -> None:
    """Wait until the versions that are old now have been compacted."""
    for _ in range(2):
        await clock.advance(INTERVAL)


@pytest.mark.parametrize("size", [1, 2000], ids=["in one page", "in overflow pages"])
async def test_a_deleted_secret_leaves_no_bytes_in_the_files(tmp_path: Path, size: int) -> None:
    async with compacted(tmp_path) as (api, clock):
        await make.given(api, SECRET, make.secret("s", data={f"k{n}": DATA for n in range(size)}))
        assert DATA.encode() in on_disk(tmp_path)

        await api.delete(SECRET, SECRET_KEY)
        await pass_two_intervals(clock)

        await make.eventually(lambda: DATA.encode() not in on_disk(tmp_path))


async def test_a_replaced_secret_leaves_only_its_new_bytes_in_the_files(tmp_path: Path) -> None:
    async with compacted(tmp_path) as (api, clock):
        await make.given(api, SECRET, make.secret("s", data={"k": DATA}))

        await api.patch(SECRET, SECRET_KEY, lambda obj: {**obj, "data": {"k": NEW_DATA}}, user=make.USER)
        await pass_two_intervals(clock)

        await make.eventually(lambda: DATA.encode() not in on_disk(tmp_path))
        assert NEW_DATA.encode() in on_disk(tmp_path)
    async with opened(tmp_path) as again:
        assert again.get(SECRET, SECRET_KEY)["data"] == {"k": NEW_DATA}


async def test_a_list_of_a_version_that_was_compacted_is_expired(tmp_path: Path) -> None:
    async with compacted(tmp_path) as (api, clock):
        await make.given(api, CONFIG_MAP, make.config_map("a"))
        await make.given(api, CONFIG_MAP, make.config_map("b"))
        before = api.store.revision - 1
        assert len(api.list(CONFIG_MAP, "default", at=before).items) == 1

        await pass_two_intervals(clock)

        with pytest.raises(errors.Expired):
            api.list(CONFIG_MAP, "default", at=before)
        assert len(api.list(CONFIG_MAP, "default", at=api.store.revision).items) == 2
