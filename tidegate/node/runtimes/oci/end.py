# SPDX-License-Identifier: Apache-2.0
"""Ends all containers when no control plane is alive, e.g. `tidegate down` after a `kill -9`.

Called by: `this_host.py`.
"""

import asyncio

from tidegate.node.runtimes.oci.folders import ContainerFolder
from tidegate.node.runtimes.oci.host import OciHost


async def end_containers(host: OciHost, grace_seconds: float) -> int:
    """Every container gets its stop signal, and SIGKILL after the grace. Returns how many ran. Nothing of them is
    left."""
    names = host.folders.known_pods()
    ran = await asyncio.gather(*(_end(host, folder, grace_seconds) for pod in names for folder in host.folders.of(pod)))
    await asyncio.gather(*map(host.remove_pod, names))
    return sum(ran)


async def _end(host: OciHost, folder: ContainerFolder, grace_seconds: float) -> bool:
    """False for a container whose program was never started, or has ended."""
    record = folder.record()
    if record is None or not record.started or not record.init.alive:
        return False
    host.groups.thaw(folder.id)
    await record.init.end(grace_seconds, record.stop_signal)
    return True
