# SPDX-License-Identifier: Apache-2.0
"""Ends a container and removes all that is left of it, however far its creation or an earlier removal came.

In: the folder of a container. Out: no process, no state of the runtime, no control group, no mount and no file of it.
Called by: `host.py`.
"""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import structlog

from tidegate.kit import mounts, trees
from tidegate.kit.processes import Process
from tidegate.node.runtimes.oci import programs
from tidegate.node.runtimes.oci.conmon import runtime_arguments
from tidegate.node.runtimes.oci.control_groups import ControlGroups
from tidegate.node.runtimes.oci.folders import ContainerFolder

_MONITOR_SECONDS = 5.0  # for conmon to note the end of a container
_GROUP_DELAYS = (0.005, 0.02, 0.1, 0.5, 1.0, 2.0)
_log = structlog.get_logger("node.oci")


async def remove(folder: ContainerFolder, state: Path, groups: ControlGroups) -> None:
    """`state`: the folder of the runtime's own state."""
    record = folder.record()
    groups.thaw(folder.id)  # a frozen process does not even end
    if record is not None:
        record.init.signal(signal.SIGKILL)
        await record.init.ended()
        await _end_monitor(record.monitor)
    else:
        await asyncio.to_thread(_end_creation, folder)
    await _kill_members(folder, groups)
    await _delete(folder, state)
    await _remove_group(folder, groups)
    await asyncio.to_thread(_remove_files, folder.path, state / folder.id)


async def _kill_members(folder: ContainerFolder, groups: ControlGroups) -> None:
    """Kill the members of its control group: after its first process has ended, the kernel has ended all others."""
    delay = 0.001
    while members := groups.processes(folder.id):
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(delay)
        delay = min(2 * delay, 0.5)


async def _remove_group(folder: ContainerFolder, groups: ControlGroups) -> None:
    """The kernel keeps a group busy for a moment after its last process."""
    for delay in _GROUP_DELAYS:
        if groups.remove(folder.id):
            return
        await asyncio.sleep(delay)
    _log.warning("a control group cannot be removed", container=folder.id)


async def _delete(folder: ContainerFolder, state: Path) -> None:
    """Let the runtime forget it. Without a runtime, its files are removed all the same."""
    tools = folder.tools()
    if tools is None or not (state / folder.id).exists() or not os.path.exists(tools.runtime):  # noqa: ASYNC240, PTH110
        return
    arguments = runtime_arguments(state, folder.path / "runtime.log")
    if await programs.run([tools.runtime, *arguments, "delete", "--force", folder.id]) < 0:
        _log.warning("the runtime does not delete a container", container=folder.id)


async def _end_monitor(monitor: Process) -> None:
    try:
        async with asyncio.timeout(_MONITOR_SECONDS):
            await monitor.ended()
    except TimeoutError:
        monitor.signal(signal.SIGKILL)


def _end_creation(folder: ContainerFolder) -> None:
    """Kill conmon and the runtime of a creation that was interrupted; both have the folder among their arguments."""
    tools = folder.tools()
    makers = {Path(path).resolve() for path in (tools.runtime, tools.monitor)} if tools is not None else set()
    mark = os.fsencode(folder.path)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if mark in (entry / "cmdline").read_bytes().split(b"\0"):
                    process = Process.of(int(entry.name))
                    if process is not None and (entry / "exe").readlink() in makers:
                        process.signal(signal.SIGKILL)


def _remove_files(*folders: Path) -> None:
    for folder in folders:
        mounts.unmount_below(folder)
        trees.remove(folder)
