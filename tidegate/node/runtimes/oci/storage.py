# SPDX-License-Identifier: Apache-2.0
"""The limit of what a container writes to its root file system: measured from time to time, as by the kubelet.

In: a running container with a limit of `ephemeral-storage`. Out: the container ends as Evicted when it has
written more. Called by: `created.py`.

A quota of the file system would be exact, but needs XFS or ext4 with project quotas, which few hosts have. So a
container may exceed its limit for the time between two measurements. Rule: pkg/kubelet/eviction.
"""

import asyncio
import time
from pathlib import Path

from tidegate.model.text import quantities
from tidegate.node.runtimes.oci import programs
from tidegate.node.runtimes.oci.running import OciContainer

EVERY = 10.0
"""Seconds between two measurements, as in the kubelet; more if one takes long."""

_PART = 20  # at most this part of the time is spent on measuring
_SECONDS = 120.0
_KIB = 1024


async def watch(container: OciContainer, limit: str) -> None:
    """Return when the container has ended. `limit`: a quantity."""
    most = quantities.parse(limit).amount
    ended = asyncio.ensure_future(container.ended())
    wait = EVERY
    while not (await asyncio.wait([ended], timeout=wait))[0]:
        began = time.monotonic()
        used = await _used(container.folder.path)
        wait = max(EVERY, _PART * (time.monotonic() - began))
        if used is not None and used > most:
            name = container.folder.container
            container.evict(f'Container {name} exceeded its local ephemeral storage limit "{limit}". ')


async def _used(folder: Path) -> int | None:
    """The bytes on disk of a folder whose contents are an app's; None if they cannot be measured."""
    measure: list[str | Path] = ["du", "--summarize", "--one-file-system", f"--block-size={_KIB}", folder]
    printed = (await programs.output(measure, seconds=_SECONDS)).split()
    return int(printed[0]) * _KIB if printed and printed[0].isdigit() else None
