# SPDX-License-Identifier: Apache-2.0
"""The small mount namespace in which bubblewrap begins.

In: nothing. Out: a file that the launcher enters (`launcher/sandbox.cc`), or "" where none can be made; then bubblewrap
begins among all mounts of the host. Called by: `sandbox.py`.

bubblewrap reads the whole table of mounts for each bind, and a host has some mounts for each Pod. This namespace has
the root file system and what bubblewrap itself needs. Each launcher works in a copy, into which it brings the sources
of the binds from the host, with the mounts that they have at that moment.
"""

import functools
import os
import select
import subprocess

import structlog

from tidegate.kit.native import NativeError
from tidegate.node.runtimes.process.launcher import ANSWERS_WITHIN, LAUNCHER


@functools.cache
def small_namespace() -> str:
    """Its path, good until this process ends."""
    out, write = os.pipe()
    try:
        with subprocess.Popen(  # noqa: S603 - our own program
            [str(LAUNCHER.path()), "mounts"], stdin=subprocess.PIPE, stdout=write, cwd="/", env={}
        ) as holder:
            try:
                ready = select.select([out], [], [], ANSWERS_WITHIN)[0]
                answer = os.read(out, 100) if ready else b"no answer"
                if answer == b"+":
                    file = os.open(f"/proc/{holder.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
                    return f"/proc/{os.getpid()}/fd/{file}"
            finally:
                holder.kill()
        reason = answer.decode(errors="replace")
    except (OSError, NativeError) as error:
        reason = str(error)
    finally:
        os.close(out)
        os.close(write)
    structlog.get_logger("node").info("sandboxes begin among all mounts of this host", reason=reason)
    return ""
