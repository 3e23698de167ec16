# SPDX-License-Identifier: Apache-2.0
"""Makes a container of this host's own files and removes it, to see whether an OCI runtime works here.

In: a runtime. Out: "", or its failure. Called by: `tools.py`, for a runtime that may refuse this host.
"""

import os
from contextlib import ExitStack
from pathlib import Path

import msgspec

from tidegate.kit.files import write_whole
from tidegate.kit.threads import whole
from tidegate.node.runtime import Limits
from tidegate.node.runtimes.oci import config, rootfs
from tidegate.node.runtimes.oci.conmon import create
from tidegate.node.runtimes.oci.failures import RuntimeFailure
from tidegate.node.runtimes.oci.folders import ContainerFolder
from tidegate.node.runtimes.oci.host import OciHost
from tidegate.node.runtimes.oci.identity import ContainerUser
from tidegate.node.runtimes.oci.resources import resources
from tidegate.node.runtimes.oci.security import Security
from tidegate.node.runtimes.oci.tools import Tools

_POD, _CONTAINER = "trial", "trial"
_SECURITY = Security((), True, None, read_only_root=True, masked_proc=True, sysctls={})


async def trial(host: OciHost, tools: Tools) -> str:
    """The container's program is never started."""
    folder = host.folders.new(_POD, _CONTAINER, tools)
    output = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        with ExitStack() as mounted:
            await whole(_prepare, host, folder, mounted)
            await create(tools, host.folders.state, folder, output)
    except (OSError, RuntimeFailure) as failure:
        return str(failure)
    finally:
        os.close(output)
        await host.remove_pod(_POD)
    return ""


def _prepare(host: OciHost, folder: ContainerFolder, mounted: ExitStack) -> None:
    root = mounted.enter_context(rootfs.mounted([Path("/")], folder.path))
    process = config.process(["/bin/true"], {}, "/", ContainerUser(0, 0, ()), _SECURITY)
    isolation = config.Isolation("trial", None, None, host.groups.path(folder.id))
    limits = resources({}, Limits(), limits_swap=False)
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    parts = config.Parts(root, process, mounts, limits, _SECURITY, isolation)
    write_whole(folder.config, msgspec.json.encode(config.configuration(parts)))
