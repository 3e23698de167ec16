# SPDX-License-Identifier: Apache-2.0
"""Ends all instances when no control plane is alive, e.g. `tidegate down` after a `kill -9`.

Called by: `this_host.py`.
"""

import asyncio
from pathlib import Path

from tidegate.node.runtimes.process import limits
from tidegate.node.runtimes.process.freezer import freezer
from tidegate.node.runtimes.process.processes import InstanceProcesses, group_name
from tidegate.node.runtimes.process.record import read_record


async def end_instances(folder: Path, grace_seconds: float) -> int:
    """End every process of every instance in `folder`: SIGTERM, and SIGKILL after the grace. Returns how many processes
    there were. Removes the folders of the instances."""
    if not folder.is_dir():  # noqa: ASYNC240 - one look at a local folder
        return 0
    groups = limits.groups()
    processes = InstanceProcesses(folder, groups, freezer(groups))
    for entry in folder.iterdir():  # noqa: ASYNC240 - the same local folder
        if (record := read_record(entry)) is not None:
            processes.leaders |= record.leaders(entry.name)
    found = {owner: [member.process for member in members] for owner, members in (await processes.look()).items()}
    for owner, frozen in found.items():
        processes.freezer.thaw(group_name(owner), frozen)
    members = [process for of in found.values() for process in of]
    await asyncio.gather(*(process.end(grace_seconds) for process in members))
    await processes.forget_others(())
    return len(members)
