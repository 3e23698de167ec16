# SPDX-License-Identifier: Apache-2.0
"""The users of namespaces: each its own, and the same after a restart."""

import asyncio
import pwd
from pathlib import Path

import pytest

from tidegate.node.runtimes.process import users
from tidegate.node.runtimes.process.users import NARROW, WIDE, NoUserLeft, Users, usual_uids


async def test_a_namespace_keeps_its_user_over_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    first = await Users(file, WIDE).of("namespace-uid")

    assert first in WIDE
    assert await Users(file, WIDE).of("namespace-uid") == first
    assert file.stat().st_mode & 0o077 == 0


async def test_no_two_namespaces_share_a_user_until_the_range_is_used_up(tmp_path: Path) -> None:
    file, few = tmp_path / "users.json", range(900_000, 900_020)
    made = Users(file, few)

    given = await asyncio.gather(*(made.of(f"uid-{number}") for number in range(20)))

    assert sorted(given) == list(few)
    with pytest.raises(NoUserLeft, match="from 900000 to 900019"):
        await made.of("one more")


async def test_the_number_of_an_account_of_this_host_is_passed_over(tmp_path: Path) -> None:
    account = max(user.pw_uid for user in pwd.getpwall() if user.pw_uid < 2**31 - 2)
    made = Users(tmp_path / "users.json", range(account, account + 2))
    assert users.has_account(account)
    if users.has_account(account + 1):
        pytest.skip("the next number is a group of this host")

    assert await made.of("uid") == account + 1


async def test_another_range_gives_a_namespace_another_user(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    await Users(file, range(900_000, 900_020)).of("uid")

    assert await Users(file, range(910_000, 910_020)).of("uid") in range(910_000, 910_020)


def test_the_usual_range_is_mapped_on_this_host() -> None:
    assert usual_uids("         0          0 4294967295\n") == WIDE
    assert usual_uids("0 100000 65536\n") == NARROW
