# SPDX-License-Identifier: Apache-2.0
"""Runs a program of this host to its end, within a time.

In: arguments, and the files for its output. Out: its exit code, or -1 if it was killed because it took too long.
Nothing of it is left when the caller is cancelled. Called by: all modules that call the OCI runtime.

asyncio's own subprocesses have pipes and a watching thread, and may never end if they are cancelled while they start.
"""

import asyncio
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tidegate.kit.processes import USUAL_PATH, Process

SECONDS = 20.0
"""For a program that has little to do."""


async def run(
    arguments: Sequence[str | Path],
    *,
    seconds: float | None = SECONDS,
    files: tuple[int, int, int] = (subprocess.DEVNULL, subprocess.DEVNULL, subprocess.DEVNULL),
) -> int:
    """`files`: its stdin, stdout and stderr. Raises `OSError` if it cannot be executed."""
    child = subprocess.Popen(  # noqa: S603, ASYNC220 - a program that we found, without a shell; it takes 2 ms
        arguments,
        stdin=files[0],
        stdout=files[1],
        stderr=files[2],
        env={"PATH": USUAL_PATH},
        cwd="/",
        start_new_session=True,
    )
    process = Process.of(child.pid)
    try:
        async with asyncio.timeout(seconds):
            if process is not None:
                await process.ended()
    except TimeoutError:
        return -1
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
    return child.returncode


async def output(arguments: Sequence[str | Path], *, seconds: float, most: int = 4096) -> bytes:
    """The beginning of what a program prints; nothing if it fails."""
    printed = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        code = await run(arguments, seconds=seconds, files=(subprocess.DEVNULL, printed, subprocess.DEVNULL))
        return os.pread(printed, most, 0) if code == 0 else b""
    finally:
        os.close(printed)
